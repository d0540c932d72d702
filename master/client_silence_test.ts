import assert from "node:assert/strict";
import { AgentSetup } from "../tests/support/agent_setup.ts";
import { flagsOf, runOn } from "../tests/support/command_line.ts";
import { listenPlainTcp } from "../tests/support/environment.ts";
import { FaultyHost } from "../tests/support/master_faults.ts";
import { SwallowingProxy } from "../tests/support/swallowing_proxy.ts";
import type { MasterAnswer } from "../tests/support/tls_master.ts";

const never = new AbortController().signal;

/** A master that receives a heartbeat and never gets to the end of its answer. */
interface Silence {
  readonly what: string;
  /** Makes it happen; what it answers ends it. */
  readonly strike: (host: FaultyHost) => Promise<() => void | Promise<void>>;
}

function answering(what: string, answer: MasterAnswer): Silence {
  return {
    what,
    strike: ({ master }) => {
      master.answer = answer;
      return Promise.resolve(() => {});
    },
  };
}

const silences: Silence[] = [
  {
    what: "M2 takes the connection and never speaks TLS",
    strike: async ({ master, port }) => {
      await master.stop();
      const { stop } = listenPlainTcp(port);
      return stop;
    },
  },
  answering("M2 sends the head of its answer byte by byte", { kind: "drip-head" }),
  answering("M2 speaks TLS and never answers", { kind: "hang" }),
  answering("M3 is gone without a word, with the connection kept", { kind: "half-open" }),
  answering("M2 sends the body of its answer byte by byte", { kind: "drip", bytesPerSecond: 4 }),
];

/** Asserts that the agent and a check give up in time, and that the next heartbeat is delivered. */
async function assertEnded({ strike }: Silence): Promise<void> {
  await using setup = await AgentSetup.create();
  const host = new FaultyHost(setup, setup.master);
  const agent = setup.newAgent();
  try {
    await host.heal();
    assert.equal((await agent.sendHeartbeat(never)).result.kind, "delivered");
    const end = await strike(host);
    const startedAt = performance.now();
    const [{ result }, once] = await Promise.all([
      agent.sendHeartbeat(never),
      runOn(["--once", ...flagsOf(setup)]),
    ]);
    const elapsedMs = performance.now() - startedAt;
    const master = `Cannot reach the master at 127.0.0.1:${setup.port}`;
    assert.equal(result.kind, "unreachable");
    assert.equal(result.error, `${master}: no answer within 10 s; see what holds up the master`);
    assert.ok(elapsedMs > 9_000 && elapsedMs < 20_000, `${elapsedMs} ms`);
    assert.equal(once.code, 2);
    assert.ok(once.stdout.startsWith(`DECNET CRITICAL - ${master}: no answer in time | `));
    await end();
    await host.heal();
    assert.equal((await agent.sendHeartbeat(never)).result.kind, "delivered");
    assert.deepEqual([host.master.connectionCount, host.master.heartbeatCount], [1, 1]);
  } finally {
    agent.close();
    await host.master.stop();
  }
}

/** The steps run all at once, so the sanitizers can look at the whole only. */
const concurrent = { sanitizeOps: false, sanitizeResources: false, sanitizeExit: false };

Deno.test("M2 M3 the agent waits 10 s, and a check less, for a master that", async (test) => {
  const steps = silences.map((silence) =>
    test.step({ name: silence.what, fn: () => assertEnded(silence), ...concurrent })
  );
  const lost = test.step({
    name: "M3 is behind a connection that has died silently",
    fn: assertConnectedAnew,
    ...concurrent,
  });
  assert.ok((await Promise.all([...steps, lost])).every((isOk) => isOk));
});

async function assertConnectedAnew(): Promise<void> {
  await using setup = await AgentSetup.create();
  await using proxy = new SwallowingProxy(setup.port);
  const { port } = proxy;
  const master = { host: "127.0.0.1", port, name: "master.test", fingerprint: null };
  const agent = setup.newAgent({ master });
  try {
    for (let heartbeat = 0; heartbeat < 2; heartbeat++) {
      assert.equal((await agent.sendHeartbeat(never)).result.kind, "delivered");
    }
    assert.equal(proxy.connectionCount, 1);
    proxy.swallow();
    const { result } = await agent.sendHeartbeat(never);
    assert.equal(
      result.error,
      `Cannot reach the master at 127.0.0.1:${port}: no answer within 10 s; see what holds up the master`,
    );
    assert.equal(setup.master.heartbeatCount, 2);
    assert.equal((await agent.sendHeartbeat(never)).result.kind, "delivered");
    assert.equal(proxy.connectionCount, 2);
    assert.equal(setup.master.heartbeatCount, 3);
  } finally {
    agent.close();
  }
}

Deno.test("M6 the agent cuts an answer of 100 MB and closes the connection", async () => {
  await using setup = await AgentSetup.create();
  const agent = setup.newAgent();
  try {
    await agent.sendHeartbeat(never);
    setup.master.answer = [{ kind: "huge", bytes: 100_000_000 }];
    const before = Deno.memoryUsage().rss;
    const { result } = await agent.sendHeartbeat(never);
    assert.ok(Deno.memoryUsage().rss - before < 60e6);
    assert.equal(result.kind, "delivered");
    while (setup.master.openConnections > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal((await agent.sendHeartbeat(never)).result.kind, "delivered");
    assert.equal(setup.master.connectionCount, 2);
    setup.master.answer = [{ kind: "huge", bytes: 100_000_000 }];
    const { code, stdout } = await runOn(["--once", ...flagsOf(setup)]);
    assert.equal(code, 0, stdout);
  } finally {
    agent.close();
  }
});
