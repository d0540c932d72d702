import assert from "node:assert/strict";
import { until } from "../support/environment.ts";
import { lineFrames, timestampAt } from "../support/engine/logs.ts";
import { container, type ContainerItem } from "../support/engine/state.ts";
import { execute, Host, RunningAgent } from "../support/executable.ts";
import { LogListener } from "../support/log_listener.ts";
import type { FakeEngine } from "../support/engine/fake_engine.ts";
import type { TlsMaster } from "../support/tls_master.ts";

const labels = { "decnet.topology.id": "11111111-0000", "decnet.topology.service": "true" };

function service(name: string): ContainerItem {
  return container({ name: `decnet_t_11111111_${name}`, labels });
}

/** A host with an engine, a master and its listener for log lines. */
interface Site {
  readonly engine: FakeEngine;
  readonly master: TlsMaster;
  readonly listener: LogListener;
  readonly flags: string[];
}

async function withSite(test: (site: Site) => Promise<void>): Promise<void> {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const { master, authority } = await host.startMaster();
  await using listener = await LogListener.start({ authority });
  const flags = ["--interval=5s", `--syslog-port=${listener.port}`, ...host.flags(master)];
  await test({ engine, master, listener, flags });
}

Deno.test("L11 decnet-agent sends heartbeats on time while containers flood", async () => {
  await withSite(async ({ engine, master, listener, flags }) => {
    const [short, endless, binary, calm] = ["short", "endless", "binary", "calm"].map(service);
    engine.containers = [short!, endless!, binary!, calm!];
    const at = timestampAt(Date.now());
    const noise = crypto.getRandomValues(new Uint8Array(300)).map((it) => it === 10 ? 11 : it);
    const floods: [ContainerItem, string | Uint8Array, times: number][] = [
      [short!, "y\n", 20_000],
      [endless!, "x".repeat(16_384), 50],
      [binary!, new Uint8Array([...noise, 10]), 3_000],
    ];
    await using agent = new RunningAgent(flags);
    await agent.until(() => engine.logs.followed.length === 4);
    for (const [{ Id }, line, times] of floods) {
      const frames = Array.from({ length: times }, () => lineFrames(at, line)).flat();
      const bytes = new Uint8Array(await new Blob(frames).arrayBuffer());
      for (let round = 0; round < 100; round++) engine.logs.write(Id, bytes);
    }
    const [startedAt, before] = [performance.now(), master.heartbeatCount];
    for (let line = 0; line < 4; line++) {
      const writtenAt = performance.now();
      engine.logs.print(calm!.Id, `calm ${line}\n`);
      await until(() => listener.lines.includes(`calm ${line}`));
      const ms = performance.now() - writtenAt;
      assert.ok(ms < 10_000, `a calm line took ${ms} ms`);
      const once = await execute(["--once", ...flags]);
      assert.ok(once.elapsedMs < 10_000, once.stdout);
      await new Promise((resolve) => setTimeout(resolve, 3_000));
    }
    const elapsedMs = performance.now() - startedAt;
    const count = master.heartbeatCount - before;
    // 5 s and a fifth of it, and those of the checks.
    assert.ok(count >= Math.floor(elapsedMs / 6_000) - 1 + 4, `${count} in ${elapsedMs} ms`);
    assert.ok(agent.peakMemory() < 160 * 2 ** 20, `${agent.peakMemory()} bytes`);
  });
});

Deno.test("L15 decnet-agent withstands 10,000 containers that come and go", async () => {
  await withSite(async ({ engine, master, listener, flags }) => {
    await using agent = new RunningAgent(flags);
    await agent.until(() => engine.requestCount > 0);
    const startedAt = performance.now();
    for (let round = 0; round < 10; round++) {
      engine.containers = Array.from({ length: 1_000 }, (_, at) => service(`r${round}-${at}`));
      for (const { Id, Names: [name] } of engine.containers) engine.logs.print(Id, `${name}\n`);
      engine.logs.end();
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
    // Those of the last round, which are read in turn.
    const last = new Set(engine.containers.map(({ Names: [name] }) => name!));
    await until(() => last.isSubsetOf(new Set(listener.lines)), { timeoutMs: 60_000 });
    const elapsedMs = performance.now() - startedAt;
    assert.ok(master.heartbeatCount >= Math.floor(elapsedMs / 6_000) - 1);
    assert.ok(engine.logs.followed.length <= 500);
    assert.ok(agent.peakMemory() < 160 * 2 ** 20, `${agent.peakMemory()} bytes`);
  });
});
