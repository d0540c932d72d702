import assert from "node:assert/strict";
import { readRow } from "../../store/topology_store.ts";
import { oneLan, textOf } from "../support/apply_host.ts";
import { writeAgentDirectory } from "../support/certificates.ts";
import { container } from "../support/engine/state.ts";
import { execute, faketime, Host, RunningAgent, WallClock } from "../support/executable.ts";
import type { TlsMaster } from "../support/tls_master.ts";

const interval = "--interval=5s";
/** The interval less 1 s, by which one heartbeat may be late. */
const leastPaceMs = 4_000;
const dayMs = 86_400_000;
const inDays = (days: number) => new Date(Date.now() + days * dayMs);

function test(name: string, run: (host: Host, clock: WallClock) => Promise<void>): void {
  faketime.test(name, async () => {
    await using host = await Host.create();
    await run(host, new WallClock(host.folder));
  });
}

/** Waits for so many heartbeats. Throws `AssertionError` when they come too fast. */
async function heartbeats(agent: RunningAgent, master: TlsMaster, count: number): Promise<void> {
  const [before, startedAt] = [master.heartbeatCount, performance.now()];
  for (let more = 1; more <= count; more++) {
    await agent.until(() => master.heartbeatCount >= before + more);
  }
  const elapsedMs = performance.now() - startedAt;
  // The first may have been due already, and one may be early.
  const most = Math.floor(elapsedMs / leastPaceMs) + 2;
  assert.ok(master.heartbeatCount - before <= most, `${count} heartbeats within ${elapsedMs} ms`);
}

/** Returns the log's messages, without the socket's path and the end of certificate dates. */
function logged({ stderr }: { stderr: string }): string[] {
  return [...stderr.matchAll(/msg=(?:"([^"]*)"|(\S+))/g)].map(([, text, word]) =>
    (text ?? word!).replace(/ at \S+docker\.sock/, "").replace(
      /^(worker.*? \d{4}-\d\d-\d\d)T.*/,
      "$1…",
    )
  );
}

/** Returns why the engine did not answer at the last heartbeat. */
function lastError({ heartbeats }: TlsMaster): string | undefined {
  type Body = { topology: { observed: { error?: string } } };
  return (heartbeats.at(-1)!.body as Body).topology.observed.error;
}

const date = (time: Date) => time.toISOString().slice(0, 10);

test(
  "T1 decnet-agent keeps its interval when the wall clock jumps",
  async (host, clock) => {
    const engine = await host.startEngine();
    const validity = { notBefore: inDays(-1_000), notAfter: inDays(1_000) };
    const { master, authority } = await host.startMaster(validity);
    const [notBefore, notAfter] = [inDays(-100), inDays(100)];
    const worker = await authority.issue({ commonName: "host-1", notBefore, notAfter });
    await writeAgentDirectory(host.agentDirectory, authority, worker);
    await using agent = new RunningAgent([interval, ...host.flags(master)], clock);
    await agent.until(() => master.heartbeatCount >= 1);

    // The clock jumps during a call: it must neither time out at once nor hang for ever.
    for (const offset of ["+365d", "-365d"]) {
      engine.fault = { kind: "hang" };
      const before = engine.requestCount;
      await agent.until(() => engine.requestCount > before);
      clock.set(offset);
      await agent.until(() => lastError(master) !== undefined);
      engine.fault = undefined;
      await agent.until(() => lastError(master) === undefined);
      await heartbeats(agent, master, 2);
    }
    // The clock jumps while the agent waits.
    clock.set("+0");
    await heartbeats(agent, master, 2);
    const noAnswer =
      "Cannot observe Docker: no answer within 5 s; if this continues, restart the engine";
    assert.deepEqual(
      logged(await agent.stop()).toSorted(),
      [
        "started",
        ...[noAnswer, "Docker answers again", noAnswer, "Docker answers again"],
        `worker.crt has expired at ${date(notAfter)}…`,
        `worker.crt is not valid before ${date(notBefore)}…`,
        "the certificates are in order again",
        "stopped",
      ].toSorted(),
    );
    assert.equal(master.heartbeatCount, master.heartbeats.length);
  },
);

test(
  "T2 decnet-agent judges certificates by the clock, wrong and right",
  async (host, clock) => {
    await host.startEngine();
    const { master } = await host.startMaster();
    const flags = host.flags(master);
    const cases = [
      [370, /has expired/, /; worker\.crt has expired at \S+, and this host's clock says /],
      [-370, /is not valid yet/, /; worker\.crt is not valid before \S+ \(then until \S+\), and /],
    ] as const;
    for (const [days, ofMaster, ofWorker] of cases) {
      clock.set(`${days > 0 ? "+" : ""}${days}d`);
      const before = inDays(days);
      const ended = await execute(["--once", "--json", ...flags], clock);
      const { checked_at: checkedAt, summary } = JSON.parse(ended.stdout);
      assert.equal(ended.code, 2, ended.stdout);
      assert.ok(Date.parse(checkedAt) >= before.getTime() - 1_000, checkedAt);
      assert.ok(Date.parse(checkedAt) <= inDays(days).getTime() + 1_000, checkedAt);
      const [, why = "", clockSays] =
        /^Cannot reach the master at \S+: its certificate (.*?): it is valid from \S+ to \S+, and this host's clock says ([^;]+);/
          .exec(summary) ?? [];
      assert.match(why, ofMaster, summary);
      assert.equal(clockSays?.slice(0, 13), checkedAt.slice(0, 13), summary);
      assert.match(summary, ofWorker);
    }
    assert.equal(master.heartbeatCount, 0);

    await using agent = new RunningAgent([interval, ...flags], clock);
    await agent.until(() => agent.stderr.includes("subject=master"));
    clock.set("+0");
    await agent.until(() => master.heartbeatCount >= 1);
    assert.match((await agent.stop()).stderr, /msg="the master accepts heartbeats again"/);
  },
);

test(
  "T3 apply stores the time of a clock that runs ahead or behind",
  async (host, clock) => {
    const engine = await host.startEngine();
    engine.images = oneLan.plan.containers.map(({ request }) => request.Image);
    const file = `${host.folder}/document.json`;
    await Deno.writeTextFile(file, textOf("topology-one-lan.json"));
    for (const days of [365, -365]) {
      clock.set(`${days > 0 ? "+" : ""}${days}d`);
      const before = Math.floor(inDays(days).getTime() / 1000);
      const applied = await execute(["apply", file, ...host.flags()], clock);
      assert.equal(applied.code, 0, applied.stderr);
      const after = inDays(days).getTime() / 1000;
      const { appliedAt } = readRow(host.storePath)!;
      assert.ok(
        appliedAt >= before - 1 && appliedAt <= after + 1,
        `${before} ${appliedAt} ${after}`,
      );
      const once = await execute(["--once", ...host.flags()]);
      assert.equal(once.code, 0, once.stdout);
    }
  },
);

type Observed = { readonly containers?: readonly string[] };

/** Long enough for two or three heartbeats to be due. */
const pauseMs = 12_500;

Deno.test("T4 a stopped decnet-agent sends within an interval, only once", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const { master } = await host.startMaster();
  await using agent = new RunningAgent([interval, ...host.flags(master)]);
  await agent.until(() => master.heartbeatCount >= 2);
  agent.signal("SIGSTOP");
  const before = master.heartbeatCount;
  await new Promise((resolve) => setTimeout(resolve, pauseMs));
  assert.equal(master.heartbeatCount, before);
  engine.containers = [container({ name: "decnet-new" })];
  agent.signal("SIGCONT");
  const resumedAt = performance.now();
  // A heartbeat may be sent again if its answer was lost.
  await agent.until(() => {
    const { topology } = master.heartbeats.at(-1)!.body as { topology: { observed: Observed } };
    return topology.observed.containers?.includes("decnet-new") ?? false;
  });
  const sentAfterMs = performance.now() - resumedAt;
  assert.ok(sentAfterMs < 10_000, `sent after ${sentAfterMs} ms`);
  await agent.until(() => master.heartbeatCount >= before + 3);
  const elapsedMs = performance.now() - resumedAt;
  // One is due at once, and one may have been sent again.
  assert.ok(elapsedMs > leastPaceMs - 500, `3 heartbeats within ${elapsedMs} ms`);
  const { stderr } = await agent.stop();
  assert.ok(!stderr.includes("subject=docker"), stderr);
});

Deno.test("T5 decnet-agent stopped during a call still takes Docker's answer", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.containers = [container({ name: "decnet-x" })];
  engine.latencyMs = 1_000;
  await using agent = new RunningAgent([interval, ...host.flags()]);
  for (const path of ["/networks", "/containers"]) {
    const isAsked = () => engine.requests.at(-1)?.path.startsWith(path) ?? false;
    await agent.until(() => !isAsked());
    await agent.until(isAsked);
    agent.signal("SIGSTOP");
    // Longer than the timeouts of both calls together.
    await new Promise((resolve) => setTimeout(resolve, 8_500));
    agent.signal("SIGCONT");
    const before = engine.requestCount;
    await agent.until(() => engine.requestCount >= before + 3);
  }
  const { stdout, stderr } = await agent.stop();
  // A heartbeat that is the same as the last one is not printed.
  assert.equal(stdout.split("\n").length, 2, stdout);
  assert.deepEqual(JSON.parse(stdout).topology.observed, {
    bridges: [],
    containers: ["decnet-x"],
  });
  assert.ok(!stderr.includes("subject=docker"), stderr);
});
