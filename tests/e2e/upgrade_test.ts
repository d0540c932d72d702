import assert from "node:assert/strict";
import { versionHash } from "../../topology/hash.ts";
import { parseJson } from "../../topology/json.ts";
import type { FakeEngine } from "../support/engine/fake_engine.ts";
import { binary, execute, Host, ListeningHost, RunningAgent } from "../support/executable.ts";
import { putAsFirstAgent, readAsFirstAgent } from "../support/first_agent.ts";
import { python } from "../support/requirements.ts";
import type { TlsMaster } from "../support/tls_master.ts";

const id = "11111111-2222-3333-4444-555555555555";
const base = "decnet_t_11111111_decky-001";
const service = `${base}-ssh`;
// A subnet that is reserved for tests: on others this machine may have an address.
const original = Deno.readTextFileSync(
  new URL("../data/topology-one-lan.json", import.meta.url),
).replaceAll('"10.0.0.', '"198.19.0.');

async function startEngine(host: Host): Promise<FakeEngine> {
  const engine = await host.startEngine();
  engine.images = ["debian:bookworm-slim", "decnet/ssh:latest"];
  return engine;
}

/** The names that are missing, of a drift in JSON. */
const missingIn = (drift: { missing: { name: string }[] }) => drift.missing.map((it) => it.name);

python.test("decnet-agent uses the first agent's store and leaves it usable", async () => {
  await using host = await Host.create();
  const engine = await startEngine(host);
  await Deno.mkdir(host.stateDirectory);
  const hash = await versionHash(parseJson(original));
  const old = { id, hash, document: original, at: 1_700_000_000 };
  await putAsFirstAgent(host.storePath, old);
  const before = await Deno.readFile(host.storePath);

  const once = await execute(["--once", "--json", ...host.flags()]);
  assert.equal(once.code, 1, once.stdout + once.stderr);
  const { topology, drift } = JSON.parse(once.stdout);
  assert.deepEqual(
    [topology.topology_id, topology.applied_version_hash, topology.applied_at],
    [id, hash, old.at],
  );
  assert.deepEqual(missingIn(drift), [base, service, "decnet_t_11111111_lan-00"]);
  const state = await execute(["state", "--json", ...host.flags()]);
  assert.equal(JSON.parse(state.stdout).applied_version_hash, hash, state.stdout);
  assert.deepEqual(await Deno.readFile(host.storePath), before);

  const document = JSON.parse(original);
  document.deckies[0].services = [];
  document.deckies[0].decky_config.services = [];
  const file = `${host.folder}/topology.json`;
  await Deno.writeTextFile(file, JSON.stringify(document));
  const apply = await execute(["apply", file, "--json", ...host.flags()]);
  assert.equal(apply.code, 0, apply.stderr);
  assert.deepEqual(engine.containers.map(({ Names }) => Names[0]), [`/${base}`]);

  const [row, ...others] = await readAsFirstAgent(host.storePath);
  const newHash = await versionHash(parseJson(JSON.stringify(document)));
  assert.deepEqual(others, []);
  assert.deepEqual([row?.[0], row?.[1], row?.[2], row?.[4]], [id, newHash, document, null]);
  assert.ok(row![3] > old.at);
  await putAsFirstAgent(host.storePath, { ...old, at: old.at + 1 });
  const again = await execute(["--once", "--json", ...host.flags()]);
  assert.equal(again.code, 1, again.stdout);
  const back = JSON.parse(again.stdout);
  assert.deepEqual(
    [back.topology.applied_version_hash, back.topology.applied_at, missingIn(back.drift)],
    [hash, old.at + 1, [service]],
  );
});

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
  const engine = await startEngine(host);
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
    assert.equal((await agent.stop("SIGTERM")).code, 0);

    const changes = engine.changes.length;
    await using next = new RunningAgent(flags, from(program));
    assert.deepEqual(await nextTopology(next, master), applied);
    assert.equal(programOf(next), program);
    assert.equal((await next.stop("SIGTERM")).code, 0);
    assert.equal(engine.changes.length, changes);
  }
});
