import assert from "node:assert/strict";
import { versionHash } from "../../topology/hash.ts";
import { parseJson } from "../../topology/json.ts";
import { binary, ListeningHost, RunningAgent } from "../support/executable.ts";
import type { TlsMaster } from "../support/tls_master.ts";

const id = "11111111-2222-3333-4444-555555555555";
// A subnet that is reserved for tests: on others this machine may have an address.
const original = Deno.readTextFileSync(
  new URL("../data/topology-one-lan.json", import.meta.url),
).replaceAll('"10.0.0.', '"198.19.0.');

/** Runs another executable than the one of all other tests. */
const from = (program: string) => ({ wrapper: ["sh", "-c", 'shift; exec "$0" "$@"', program] });

/** Returns the program of a process; ` (deleted)` follows if its file was replaced. */
const programOf = ({ pid }: RunningAgent) => Deno.readLinkSync(`/proc/${pid}/exe`);

/** Waits for the next heartbeat; returns what it reports of the topology. */
async function nextTopology(agent: RunningAgent, master: TlsMaster) {
  const count = master.heartbeatCount;
  await agent.until(() => master.heartbeatCount > count);
  const { topology } = master.heartbeats.at(-1)!.body as { topology: Record<string, unknown> };
  return [topology.topology_id, topology.applied_version_hash, topology.applied_at];
}

Deno.test("C5 decnet-agent survives an upgrade and a downgrade of its file", async () => {
  await using setup = await ListeningHost.create();
  const { host, master, flags } = setup;
  const engine = await host.startEngine();
  engine.images = ["debian:bookworm-slim", "decnet/ssh:latest"];
  const program = `${host.folder}/decnet-agent`;
  await Deno.copyFile(binary, program);
  const hash = await versionHash(parseJson(original));
  const body = `{"hydrated":${original},"version_hash":"${hash}"}`;
  // Up, and down again to the file that was kept.
  for (const replacement of [`${host.folder}/new`, `${host.folder}/kept`]) {
    await using agent = new RunningAgent(flags, from(program));
    await agent.until(() => agent.stderr.includes("msg=listening"));
    await assert.rejects(Deno.copyFile(binary, program), /Text file busy/);
    if (replacement.endsWith("new")) {
      await Deno.link(program, `${host.folder}/kept`);
      await Deno.copyFile(binary, replacement);
    }
    assert.equal(programOf(agent), program);
    await Deno.rename(replacement, program);
    assert.notEqual(programOf(agent), program);

    const pushedAt = Math.floor(Date.now() / 1000);
    // The first push loads code that has not run until now.
    const { status } = await setup.call("/topology/apply", { method: "POST", body });
    assert.equal(status, 200);
    let applied = await nextTopology(agent, master);
    // A heartbeat that was under way during the push has the time of the round before.
    while (Number(applied[2]) < pushedAt) applied = await nextTopology(agent, master);
    assert.deepEqual(applied.slice(0, 2), [id, hash]);
    agent.signal("SIGHUP");
    await agent.until(() => agent.stderr.includes("the configuration was read again"));
    assert.deepEqual(await nextTopology(agent, master), applied);
    assert.notEqual(programOf(agent), program);

    // Without the lock it would run and never end.
    await using second = new RunningAgent(flags, from(program));
    await second.until(() => second.stderr.includes(`held by process ${agent.pid} since`));
    await agent.stop("SIGTERM");

    const changes = engine.changes.length;
    await using next = new RunningAgent(flags, from(program));
    assert.deepEqual(await nextTopology(next, master), applied);
    assert.equal(programOf(next), program);
    await next.stop("SIGTERM");
    assert.equal(engine.changes.length, changes);
  }
});
