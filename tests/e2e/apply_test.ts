import assert from "node:assert/strict";
import { readRow } from "../../store/topology_store.ts";
import { oneLan, textOf } from "../support/apply_host.ts";
import type { Fault } from "../support/engine/faults.ts";
import { container } from "../support/engine/state.ts";
import { execute, faketime, Host, hurried, RunningAgent, spawn } from "../support/executable.ts";
import { confined, confinement } from "../support/requirements.ts";

const id = oneLan.plan.topologyId;
/** The advice after each failure. */
const advice = {
  apply:
    "decnet-agent: fix this, then run the same command again; correct objects are not touched\n",
  teardown: "decnet-agent: fix this, then run the same command again\n",
};
const name = (short: string) => `decnet_t_11111111_${short}`;
/** A minute passes in 12 s; a list, which has 5 s, must then be answered within 1 s. */
const factor = 5;

interface Row {
  readonly command: "apply" | "teardown";
  /** What the engine does not answer. */
  readonly fault: Fault;
  /** The message on standard error. */
  readonly says: (docker: string) => string;
}

const rows: Row[] = [
  {
    command: "apply",
    fault: { kind: "hang" },
    says: (docker) => `${docker}: no answer within 5 s`,
  },
  {
    command: "apply",
    fault: { kind: "hang", method: "POST" },
    says: (docker) => `Cannot create network ${name("lan-00")}: ${docker}: no answer within 60 s`,
  },
  {
    command: "teardown",
    fault: { kind: "hang" },
    says: (docker) => `${docker}: no answer within 5 s`,
  },
  {
    command: "teardown",
    fault: { kind: "hang", method: "DELETE", effect: "after" },
    says: (docker) =>
      `Cannot remove container ${name("decky-001-ssh")}: ${docker}: no answer within 60 s`,
  },
];

/** Runs a command against an engine that hangs, and again when it does not. */
async function check({ command, fault, says }: Row): Promise<void> {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.images = oneLan.plan.containers.map(({ request }) => request.Image);
  const file = `${host.folder}/document.json`;
  await Deno.writeTextFile(file, textOf("topology-one-lan.json"));
  const apply = ["apply", file, ...host.flags()];
  const args = command === "apply" ? apply : ["teardown", id, ...host.flags()];
  const row = () => readRow(host.storePath);
  if (command === "teardown") assert.equal((await execute(apply)).code, 0);

  engine.fault = fault;
  const { code, stdout, stderr } = await execute(args, { wrapper: hurried(factor) });
  const message = `${says(`Docker at ${host.socket}`)}; if this continues, restart the engine`;
  assert.deepEqual([code, stdout, stderr], [2, "", `decnet-agent: ${message}\n${advice[command]}`]);
  assert.deepEqual([row()?.topologyId, row()?.lastError], [id, message]);
  assert.equal(row()?.versionHash, command === "apply" ? "" : oneLan.versionHash);
  engine.fault = undefined;
  const once = await execute(["--once", ...host.flags()]);
  assert.equal(once.code, 1);
  assert.ok(
    once.stdout.startsWith(`DECNET WARNING - the last apply or teardown failed: ${message}`),
  );

  const again = await execute(args);
  assert.equal(again.code, 0, again.stderr);
  assert.equal(row()?.lastError ?? null, null);
  assert.equal(engine.containers.length, command === "apply" ? 2 : 0);
  assert.equal((await execute(["--once", ...host.flags()])).code, 0);
}

faketime.test("D18 apply and teardown give up on a hanging engine, can be finished", async () => {
  const results = await Promise.allSettled(rows.map(check));
  for (const result of results) if (result.status === "rejected") throw result.reason;
});

/** How often to try: which process comes first is random. */
const rounds = 20;
const document = new URL("../data/topology-one-lan.json", import.meta.url).pathname;

Deno.test("R9 decnet-agent started twice runs once, the other exits with 3", async () => {
  await using host = await Host.create();
  await host.startEngine();
  for (let round = 0; round < rounds; round++) {
    const both = [0, 1].map(() => spawn(["--interval=5s", ...host.flags()]));
    const outputs = both.map((it) => it.output());
    const loser = await Promise.race(outputs.map(async (it, index) => {
      await it;
      return index;
    }));
    const { code, stderr } = await outputs[loser]!;
    both[1 - loser]!.kill("SIGTERM");
    const winner = await outputs[1 - loser]!;
    const text = new TextDecoder().decode(stderr);
    assert.equal(code, 3, text);
    const pattern =
      /held by process (\d+) since (\S+Z) for the agent of version [\d.]+; stop that one first\n$/;
    const [, pid, since = ""] = pattern.exec(text) ?? [];
    assert.equal(Number(pid), both[1 - loser]!.pid, text);
    assert.ok(Math.abs(Date.parse(since) - Date.now()) < 60_000, text);
    assert.equal(winner.code, 0, new TextDecoder().decode(winner.stderr));
  }
});

Deno.test("R11 --once run many times at once answers each time", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  const args = ["--once", ...host.flags(master)];
  for (let round = 0; round < 5; round++) {
    for (const { code, stdout } of await Promise.all([0, 1, 2, 3].map(() => execute(args)))) {
      assert.equal(code, 0, stdout);
      assert.match(stdout, /^DECNET OK - idle, .* heartbeat sent \| .*\n$/);
    }
  }
  assert.equal(master.heartbeatCount, 20);
});

Deno.test("R10 apply run twice at once creates everything once", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.latencyMs = 20;
  engine.images = ["debian:bookworm-slim", "decnet/ssh:latest"];
  const text = await Deno.readTextFile(document);
  // A subnet that is reserved for tests: on others this machine may have an address.
  const file = `${host.socket}.json`;
  await Deno.writeTextFile(file, text.replaceAll('"10.0.0.', '"198.19.0.'));
  const args = ["apply", file, "--json", ...host.flags()];
  const both = await Promise.all([execute(args), execute(args)]);
  const changes = both.map(({ code, stdout, stderr }) => {
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout).changes as number;
  });
  assert.deepEqual(changes.sort(), [0, 3]);
  assert.equal(engine.containers.length, 2);
  const waiting = both.filter(({ stderr }) => stderr.includes("waiting: another apply"));
  assert.equal(waiting.length, 1, both.map(({ stderr }) => stderr).join());
  assert.match(waiting[0]!.stderr, /by process \d+ since \S+Z for apply 11111111-/);
});

const interval = "--interval=5s";

/** Returns what the latest heartbeat reports of the engine. */
function lastObserved(heartbeats: readonly { readonly body: unknown }[]): object {
  return (heartbeats.at(-1)!.body as { topology: { observed: object } }).topology.observed;
}

confinement.test("D6 decnet-agent reports a forbidden socket and recovers", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.containers = [container({ name: "decnet-x" })];
  const { master } = await host.startMaster();
  await Deno.chmod(host.socket, 0);
  const wrapper = confined;
  const error = `Cannot observe Docker at ${host.socket}: ` +
    "permission denied; run as root, or as a member of the socket's group";

  const once = await execute(["--once", ...host.flags()], { wrapper });
  assert.equal(once.code, 2);
  assert.equal(once.stdout, `DECNET CRITICAL - ${error}\n`);

  await using agent = new RunningAgent([interval, ...host.flags(master)], { wrapper });
  await agent.until(() => master.heartbeatCount >= 1);
  assert.deepEqual(lastObserved(master.heartbeats), { error });
  assert.equal(engine.connectionCount, 0);
  await Deno.chmod(host.socket, 0o600);
  await agent.until(() => "bridges" in lastObserved(master.heartbeats));
  assert.deepEqual(lastObserved(master.heartbeats), { bridges: [], containers: ["decnet-x"] });
  const { stderr } = await agent.stop();
  assert.deepEqual(stderr.match(/msg=("[^"]*"|\S+)/g), [
    "msg=started",
    `msg="${error}"`,
    'msg="Docker answers again"',
    'msg="unexpected decnet-x (running)"',
    "msg=stopped",
  ]);
});
