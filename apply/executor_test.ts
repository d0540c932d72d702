import assert from "node:assert/strict";
import {
  type ApplyHost,
  oneLan,
  onHost,
  refusalOf,
  textOf,
  threeLans,
  validatedOf,
  withHost,
} from "../tests/support/apply_host.ts";
import type { ReceivedRequest } from "../tests/support/engine/fake_engine.ts";
import type { Fault } from "../tests/support/engine/faults.ts";
import { call } from "../tests/support/engine/client.ts";
import { until } from "../tests/support/environment.ts";
import { parseJson, writeJson } from "../topology/json.ts";
import type { ApplyResult } from "./applier.ts";
import { ApplyError } from "./apply_error.ts";
import type { ValidatedDocument } from "./validated_document.ts";

const id = threeLans.plan.topologyId;

/** A later version of the document of three LANs, in which almost everything differs. */
const later: ValidatedDocument = await validatedOf(
  textOf("topology-three-lans.json").replaceAll("198.18.2.", "198.18.9.")
    .replace('"mysql"\n        ]', '"ssh"\n        ]').replaceAll('"mysql"', '"ssh"')
    .replaceAll("decky-004", "decky-005").replaceAll("198.18.0.3", "198.18.0.4"),
);

/** How a call fails: refused, or cut off before or after its effect. */
const faults: readonly Fault[] = [
  { kind: "status", status: 500, message: "no" },
  { kind: "reset", effect: "before" },
  { kind: "reset", effect: "after" },
  { kind: "garbage", effect: "after" },
];
/** The messages of calls that were cut off. */
const cutOff = /: (connection reset|connection closed|the answer is not HTTP)/;

/** The result of one run in which a call failed. */
interface FailedRun {
  readonly host: ApplyHost;
  /** Null when the run succeeded in another way. */
  readonly refusal: ApplyError | null;
  /** The call that failed. */
  readonly request: ReceivedRequest;
  readonly fault: Fault;
}

/** What is run on each host, and what is checked after a failed call. */
interface CallFailures {
  readonly prepare?: (host: ApplyHost) => Promise<unknown>;
  readonly run: (host: ApplyHost) => Promise<ApplyResult>;
  readonly check: (failed: FailedRun) => Promise<void>;
}

/** Has each call of `run` fail in turn, each time on a new host; returns the number of calls. */
async function failEachCall(failures: CallFailures): Promise<number> {
  const { prepare, run } = failures;
  let count = 0;
  await withHost(async (host) => {
    await prepare?.(host);
    const before = host.engine.requestCount;
    await run(host);
    count = host.engine.requestCount - before;
  });
  for (const fault of faults) {
    for (let position = 0; position < count; position++) {
      await withHost((host) => failCall(host, fault, position, failures));
    }
  }
  return count;
}

async function failCall(
  host: ApplyHost,
  fault: Fault,
  position: number,
  { prepare, run, check }: CallFailures,
): Promise<void> {
  await prepare?.(host);
  const { engine } = host;
  const before = engine.requestCount;
  engine.fault = { ...fault, afterRequests: position, once: true };
  const refusal = await run(host).then(() => null, (error) => {
    if (error instanceof ApplyError) return error;
    throw error;
  });
  assert.equal(engine.fault, undefined, "no call failed");
  const request = engine.requests[before + position]!;
  try {
    await check({ host, refusal, request, fault });
  } catch (cause) {
    const where = `${JSON.stringify(fault)} at ${position}: ${request.method} ${request.path}`;
    throw new Error(`${where}: ${(cause as Error).message}`, { cause });
  }
}

/** Asserts that the error names the failed call, and that the store holds it. */
function assertRecorded({ host, refusal, request }: FailedRun, versionHash: string, text: string) {
  assert.equal(refusal?.code, "failed");
  const { message } = refusal!;
  const isRefused = message.includes("was answered with 500 (no)");
  assert.ok(isRefused || cutOff.test(message), message);
  assert.ok(request.method === "GET" || /^Cannot [a-z]+ (network|container) /.test(message));
  const row = host.row();
  assert.equal(row?.versionHash, versionHash);
  assert.equal(row?.lastError, message.slice(0, 500));
  assert.equal(row?.document, writeJson(parseJson(text)));
  assert.equal(row!.appliedAt === 0, versionHash === "");
}

/** Whether a run goes on: a change was refused, and is not when it is tried again. */
function mayGoOn({ request: { method }, fault }: FailedRun): boolean {
  return fault.kind === "status" && method !== "GET";
}

/** Asserts that a second apply changes nothing, and that a teardown leaves nothing. */
async function assertSettled(host: ApplyHost, validated: ValidatedDocument): Promise<void> {
  await host.assertApplied(validated);
  const before = host.engine.changes.length;
  assert.equal((await host.apply(validated)).changes, 0);
  assert.deepEqual(host.changes(before), []);
  await host.teardown(validated.plan.topologyId);
  host.assertNothingLeft();
}

Deno.test("D19 Applier.apply() finishes after a failed call at each position", async () => {
  let failures = 0;
  const count = await failEachCall({
    run: (host) => host.apply(threeLans),
    check: async (failed) => {
      assert.equal(failed.refusal === null, mayGoOn(failed));
      if (failed.refusal) {
        assertRecorded(failed, "", threeLans.text);
        failed.host.assertOthers();
        if (++failures % 2 === 0) return await assertTornDown(failed.host);
        await failed.host.apply(threeLans);
      }
      await assertSettled(failed.host, threeLans);
    },
  });
  // Two lists and five images; three networks; nine containers, made and started; two more LANs; and
  // a second look.
  assert.equal(count, 2 + 5 + 3 + 2 * 9 + 2 + 2 + 5);
});

Deno.test("D19 Applier.teardown() finishes after a failed call at each position", async () => {
  let failures = 0;
  const count = await failEachCall({
    prepare: (host) => host.apply(threeLans),
    run: (host) => host.teardown(id),
    check: async (failed) => {
      const { host } = failed;
      if (!failed.refusal) return host.assertNothingLeft();
      assert.ok(!mayGoOn(failed));
      assertRecorded(failed, threeLans.versionHash, threeLans.text);
      if (++failures % 2 === 0) return await assertTornDown(host);
      await host.apply(threeLans);
      await assertSettled(host, threeLans);
    },
  });
  assert.equal(count, 2 + 2 * 9 + 3 + 2);
});

async function assertTornDown(host: ApplyHost): Promise<void> {
  await host.teardown(id);
  host.assertNothingLeft();
}

/** Applies the document of three LANs, and stops a base and pauses a service of it. */
async function applyAndBreak(host: ApplyHost): Promise<void> {
  await host.apply(threeLans);
  const { socketPath } = host.engine;
  const prefix = "/containers/decnet_t_7c9e6679_decky";
  assert.equal((await call(socketPath, "POST", `${prefix}-001/stop`)).status, 204);
  assert.equal((await call(socketPath, "POST", `${prefix}-002-http/pause`)).status, 204);
}

/** Has the engine refuse a service of which the base has just gone; counts how often it is asked. */
async function refuseService(
  host: ApplyHost,
  { status, once }: { status: number; once: boolean },
) {
  const { engine } = host;
  const [base, path] = [
    "decnet_t_7c9e6679_decky-001",
    "/containers/create?name=decnet_t_7c9e6679_decky-001-ssh",
  ];
  const message = "joining network namespace of container: No such container";
  engine.fault = { kind: "status", status, message, path, once };
  const onProgress = ({ text }: { text: string }) => {
    if (!engine.fault || text !== `create container ${base}`) return;
    engine.containers = engine.containers.filter(({ Names }) => Names[0] !== `/${base}`);
  };
  const refusal = await host.apply(threeLans, { onProgress }).then(() => null, (error) => error);
  const calls = engine.changes.filter((it) => it.path === path).length;
  return { message: refusal?.message as string | undefined, calls };
}

for (const status of [400, 404, 409, 500, 503]) {
  onHost.test(`Applier.apply() goes on after ${status} after another change`, async (host) => {
    const { message, calls } = await refuseService(host, { status, once: true });
    assert.deepEqual([message, calls], [undefined, 2]);
    await assertSettled(host, threeLans);
  });
}

onHost.test("Applier.apply() fails with what the engine refuses four times", async (host) => {
  const words = /^Cannot create container \S+-ssh: .* 500 \(joining network namespace/;
  const { message, calls } = await refuseService(host, { status: 500, once: false });
  assert.match(message!, words);
  assert.equal(calls, 4);
  assert.equal(host.row()?.lastError, message);
  host.engine.fault = undefined;
  await host.apply(threeLans);
  await assertSettled(host, threeLans);
});

Deno.test("Applier.apply() of a later version finishes after each failure", async () => {
  let [recreations, failures] = [0, 0];
  await failEachCall({
    prepare: applyAndBreak,
    run: (host) => host.apply(later),
    check: async (failed) => {
      const { host, refusal, request, fault } = failed;
      if (refusal === null) {
        assert.ok(mayGoOn(failed), request.path);
        // A container that the engine refuses to start is recreated.
        if (fault.kind === "status" && request.path.endsWith("/restart?t=0")) recreations++;
      } else {
        assertRecorded(failed, threeLans.versionHash, threeLans.text);
        if (++failures % 2 === 0) return await assertTornDown(host);
        await host.apply(later);
      }
      await assertSettled(host, later);
    },
  });
  assert.equal(recreations, 1);
});

const interrupted = "interrupted by a signal; apply it again or tear it down";

/** Aborts after a number of steps. */
function stopAfterSteps(count: number) {
  const stop = new AbortController();
  let done = 0;
  const onProgress = () => {
    if (++done === count) stop.abort(new Error("stopped by a test"));
  };
  return { signal: stop.signal, onProgress };
}

/** The last five steps, of the services, may all be running when the first of them is done. */
const lastSteps = 5;

/** Returns the message of an interrupted run; null if the run had finished before. */
async function interruption(run: Promise<ApplyResult>): Promise<string | null> {
  try {
    await run;
    return null;
  } catch (error) {
    assert.ok(error instanceof ApplyError);
    assert.equal(error.code, "failed");
    return error.message;
  }
}

onHost.test("Applier.apply() that is stopped with its last step succeeds", async (host) => {
  assert.equal((await host.apply(threeLans, stopAfterSteps(12))).changes, 12);
  await host.assertApplied(threeLans);
});

Deno.test("Applier.teardown() stopped after any step can be finished", async () => {
  for (let steps = 1; steps < 12; steps++) {
    await withHost(async (host) => {
      await host.apply(threeLans);
      assert.equal(await interruption(host.teardown(id, stopAfterSteps(steps))), interrupted);
      assert.deepEqual(
        [host.row()?.versionHash, host.row()?.lastError],
        [threeLans.versionHash, interrupted],
      );
      await host.teardown(id);
      host.assertNothingLeft();
    });
  }
});

Deno.test("Applier.apply() stopped at any step can be finished or torn down", async () => {
  for (let steps = 1; steps < 15; steps++) {
    await withHost(async (host) => {
      await host.apply(oneLan);
      const options = { supersede: true };
      const run = host.apply(threeLans, { ...options, ...stopAfterSteps(steps) });
      const message = await interruption(run);
      if (message === null) {
        assert.ok(steps > 15 - lastSteps, `not interrupted after step ${steps}`);
        return await host.assertApplied(threeLans);
      }
      const { topologyId, versionHash, lastError } = host.row()!;
      assert.deepEqual([message, lastError], [interrupted, interrupted]);
      // One decky with a service, and a LAN, had to go first.
      const [oldId, oldHash] = [oneLan.plan.topologyId, oneLan.versionHash];
      assert.deepEqual([topologyId, versionHash], steps < 3 ? [oldId, oldHash] : [id, ""]);
      host.assertOthers();
      if (steps % 2 === 0) {
        await host.teardown(oldId);
        return await assertTornDown(host);
      }
      await host.apply(threeLans, options);
      await host.assertApplied(threeLans);
    });
  }
});

onHost.test("Applier.apply() that is stopped finishes calls, sends no more", async (host) => {
  const stop = new AbortController();
  host.engine.latencyMs = 150;
  const refusal = refusalOf(host.apply(threeLans, { signal: stop.signal }));
  await until(() => host.engine.changes.length === 3);
  stop.abort();
  assert.equal((await refusal).message, interrupted);
  assert.deepEqual(host.changes(), Array(3).fill("POST /networks/create"));
  const made = host.engine.networks.filter(({ Name }) => /lan-0[012]$/.test(Name));
  assert.equal(made.length, 3);
  // No call follows later.
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(host.changes().length, 3);
});

const hangs: [what: string, fault: Fault, changes: number][] = [
  ["list", { kind: "hang", path: "/networks", method: "GET" }, 0],
  ["look-up of an image", { kind: "hang", path: "/images/" }, 0],
  ["change", { kind: "hang", path: "/networks/create" }, 3],
  [
    "change that had its effect",
    { kind: "hang-body", effect: "after", path: "/containers/create" },
    7,
  ],
];
for (const [what, fault, changes] of hangs) {
  onHost.test(`Applier.apply() that is stopped waits 1.2 s for a ${what}`, async (host) => {
    const stop = new AbortController();
    host.engine.fault = fault;
    const refusal = refusalOf(host.apply(threeLans, { signal: stop.signal }));
    await until(() => host.engine.changes.length === changes && host.engine.requestCount > 1);
    const startedAt = performance.now();
    stop.abort();
    const { code: kind, message } = await refusal;
    const tookMs = performance.now() - startedAt;
    assert.deepEqual([kind, message], ["failed", interrupted]);
    // Without the stop, a list would take 5 s and a change 60 s.
    assert.ok(tookMs < 4_000, `took ${tookMs} ms`);
    assert.equal(host.row()?.lastError, interrupted);
    const count = host.engine.requestCount;
    host.engine.fault = undefined;
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(host.engine.requestCount, count);
    await host.apply(threeLans);
    await host.assertApplied(threeLans);
  });
}
