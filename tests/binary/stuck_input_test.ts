import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { TopologyStore } from "../../store/mod.ts";
import { makeFifo, mkfifo } from "./fifo.ts";
import { type Ended, execute, Host } from "./host.ts";
import { RunningAgent } from "./running_agent.ts";

/** Keeps an agent that reads for ever from hanging the test and from eating the machine's memory. */
const wrapper = ["sh", "-c", 'ulimit -d 2097152; exec timeout -s KILL 20 "$0" "$@"'];
const interval = "--interval=5s";

/** Asserts that a run ended in time with code 3 and said why. */
function assertRefused({ code, stdout, stderr, elapsedMs }: Ended, reason: RegExp): void {
  assert.equal(code, 3, stdout + stderr);
  assert.match(stdout + stderr, reason);
  assert.ok(elapsedMs < 10_000, `${elapsedMs} ms`);
}

/** Replaces the host's key by a named pipe. */
async function breakKey(host: Host): Promise<void> {
  await Deno.remove(`${host.agentDirectory}/worker.key`);
  await makeFifo(`${host.agentDirectory}/worker.key`);
}

/** A connection that keeps every other one from reading the host's store. */
function lockStore(host: Host): DatabaseSync {
  using store = TopologyStore.open(host.storePath);
  store.put("A", "h1", "{}");
  const database = new DatabaseSync(host.storePath);
  database.exec("BEGIN EXCLUSIVE");
  return database;
}

Deno.test({
  name: `decnet-agent --once refuses a named pipe as its store${mkfifo.suffix}`,
  ignore: mkfifo.ignore,
  fn: async () => {
    mkfifo.check();
    await using host = await Host.create();
    await host.startEngine();
    await Deno.mkdir(host.stateDirectory);
    await makeFifo(host.storePath);
    const ended = await execute(["--once", ...host.flags()], { wrapper });
    assertRefused(ended, /topology\.db: .*not a regular file/);
  },
});

Deno.test({
  name: `decnet-agent --once refuses a named pipe as worker.key${mkfifo.suffix}`,
  ignore: mkfifo.ignore,
  fn: async () => {
    mkfifo.check();
    await using host = await Host.create();
    await host.startEngine();
    const { master } = await host.startMaster();
    await breakKey(host);
    const ended = await execute(["--once", ...host.flags(master)], { wrapper });
    assertRefused(ended, /worker\.key: not a regular file/);
  },
});

Deno.test({
  name: `decnet-agent --once refuses a named pipe as its configuration${mkfifo.suffix}`,
  ignore: mkfifo.ignore,
  fn: async () => {
    mkfifo.check();
    await using host = await Host.create();
    const path = `${host.socket}.ini`;
    await makeFifo(path);
    const ended = await execute(["--once", "--config", path, ...host.flags()], { wrapper });
    assertRefused(ended, /docker\.sock\.ini: it is not a regular file/);
  },
});

Deno.test({
  name: `decnet-agent stops within 2 s with a named pipe as worker.key${mkfifo.suffix}`,
  ignore: mkfifo.ignore,
  fn: async () => {
    mkfifo.check();
    await using host = await Host.create();
    const engine = await host.startEngine();
    const { master } = await host.startMaster();
    await breakKey(host);
    await using agent = new RunningAgent([interval, ...host.flags(master)]);
    await agent.until(() => agent.stderr.includes("not a regular file"));
    assert.ok(engine.requestCount > 0);
    const { code, ms } = await agent.stop();
    assert.equal(code, 0);
    assert.ok(ms < 2_000, `${ms} ms`);
  },
});

Deno.test("decnet-agent hash refuses a device that never ends", async () => {
  const ended = await execute(["hash", "/dev/zero"], { wrapper });
  assertRefused(ended, /\/dev\/zero: it is larger than 64 MiB/);
});

Deno.test("decnet-agent --once refuses a device as its configuration", async () => {
  const ended = await execute(["--once", "--config", "/dev/zero"], { wrapper });
  assertRefused(ended, /\/dev\/zero: it is not a regular file/);
});

Deno.test("decnet-agent --once still beats within 10 s when the store is locked and the engine hangs", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.fault = { kind: "hang" };
  const { master } = await host.startMaster();
  const lock = lockStore(host);
  try {
    const ended = await execute(["--once", ...host.flags(master)], { wrapper });
    assertRefused(ended, /database is locked/);
    assert.equal(master.beatCount, 1, ended.stdout);
  } finally {
    lock.close();
  }
});

Deno.test("decnet-agent stops within 2 s while the store is locked", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const lock = lockStore(host);
  try {
    await using agent = new RunningAgent([interval, ...host.flags()]);
    // It asks the engine, opens the store, and waits.
    await agent.until(() => agent.openFiles().includes(host.storePath));
    const { code, ms, stdout } = await agent.stop();
    assert.deepEqual([code, stdout], [0, ""]);
    assert.equal(engine.requestCount, 2);
    assert.ok(ms < 2_000, `${ms} ms`);
  } finally {
    lock.close();
  }
});
