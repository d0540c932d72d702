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
  readonly host: Host;
  readonly engine: FakeEngine;
  readonly master: TlsMaster;
  readonly listener: { current: LogListener };
  /** Starts the listener again on its port. */
  restart(): Promise<void>;
  readonly flags: string[];
}

async function withSite(test: (site: Site) => Promise<void>): Promise<void> {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const { master, authority } = await host.startMaster();
  const names = { commonName: "decnet-master", dnsNames: ["decnet-master"] };
  const certificate = await authority.issue({ ...names, usage: "server" });
  const listener = { current: await LogListener.start({ authority, certificate }) };
  const { port } = listener.current;
  const restart = async () => {
    const { lines } = listener.current;
    listener.current = await LogListener.start({ authority, certificate, port });
    listener.current.lines.push(...lines);
  };
  const flags = ["--interval=5s", `--syslog-port=${port}`, ...host.flags(master)];
  await test({ host, engine, master, listener, restart, flags });
  await listener.current.stop();
}

/** Returns the lines of a container, each where it came first. */
function linesOf(lines: readonly string[], name: string): string[] {
  return [...new Set(lines.filter((line) => line.startsWith(`${name} `)))];
}

Deno.test("L10 decnet-agent loses no line by kills and a master that is away", async () => {
  await withSite(async ({ engine, listener, restart, flags }) => {
    const names = ["web", "ftp", "ssh"];
    const items = names.map(service);
    engine.containers = items;
    let count = 0;
    const timer = setInterval(() => {
      count++;
      for (const [index, { Id }] of items.entries()) {
        engine.logs.print(Id, `${names[index]} ${count}\n`);
      }
    }, 10);
    for (let round = 0; round < 5; round++) {
      await using agent = new RunningAgent(flags);
      const { length } = listener.current.lines;
      await agent.until(() => listener.current.lines.length > length + 200);
      if (round === 1 || round === 3) {
        await listener.current.stop();
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        await restart();
      }
      if (round === 2) engine.logs.end(items[0]!.Id);
      await agent.stop("SIGKILL");
    }
    clearInterval(timer);
    await using agent = new RunningAgent(flags);
    const expected = (name: string) =>
      Array.from({ length: count }, (_, at) => `${name} ${at + 1}`);
    await agent.until(() =>
      names.every((name) => linesOf(listener.current.lines, name).length === count)
    );
    for (const name of names) {
      assert.deepEqual(linesOf(listener.current.lines, name), expected(name));
    }
    // What was proven to have arrived is not sent again; a connection proves nothing in its first 5 s.
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    await agent.stop("SIGTERM");
    const { length } = listener.current.lines;
    await using next = new RunningAgent(flags);
    engine.logs.print(items[0]!.Id, "web last\n");
    await next.until(() => listener.current.lines.includes("web last"));
    assert.ok(listener.current.lines.length <= length + 10);
    const once = await execute(["--once", "--json", ...flags]);
    assert.equal(JSON.parse(once.stdout).logs.behind_since, null, once.stdout);
  });
});

Deno.test("L14 decnet-agent sends heartbeats and lines while a log hangs", async () => {
  await withSite(async ({ engine, master, listener, flags }) => {
    const [hung, calm] = [service("hung"), service("calm")];
    engine.containers = [hung, calm];
    engine.fault = { kind: "hang", path: `/containers/${hung.Id}/logs` };
    await using agent = new RunningAgent(flags);
    await agent.until(() => engine.logs.followed.length === 1);
    engine.logs.print(calm.Id, "calm\n");
    await agent.until(() => listener.current.lines.includes("calm"));
    await agent.until(() => agent.stderr.includes("no answer within 10 s"));
    await agent.until(() => master.heartbeatCount >= 3);
    await agent.stop("SIGTERM");
  });
});

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
      await until(() => listener.current.lines.includes(`calm ${line}`));
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
    await until(() => last.isSubsetOf(new Set(listener.current.lines)), { timeoutMs: 60_000 });
    const elapsedMs = performance.now() - startedAt;
    assert.ok(master.heartbeatCount >= Math.floor(elapsedMs / 6_000) - 1);
    assert.ok(engine.logs.followed.length <= 500);
    assert.ok(agent.peakMemory() < 160 * 2 ** 20, `${agent.peakMemory()} bytes`);
  });
});
