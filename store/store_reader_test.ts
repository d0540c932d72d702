import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { AgentSetup, document, topologyId, versionHash } from "../tests/support/agent_setup.ts";
import { crashInAChange, execSql, never, runSql, StorePlace } from "../tests/support/store.ts";
import { FallbackStore } from "./recovery.ts";
import { StoreReader } from "./store_reader.ts";

/** Reads the version hash; null on an idle host. */
type ReadHash = (signal?: AbortSignal) => Promise<string | null>;

/** Runs a test with a reader of a store that is absent at first. */
function test(
  title: string,
  work: (read: ReadHash, place: StorePlace, reader: StoreReader) => Promise<void>,
): void {
  Deno.test(title, async () => {
    using place = new StorePlace();
    const reader = new StoreReader(place.path);
    const read: ReadHash = async (signal = never) =>
      (await reader.current(signal))?.versionHash ?? null;
    try {
      await work(read, place, reader);
    } finally {
      reader.close();
    }
  });
}

test("S1 StoreReader.current() reads a store after it is made and removed", async (read, place) => {
  assert.equal(await read(), null);
  for (const hash of ["h1", "h2"]) {
    place.put(hash);
    assert.equal(await read(), hash);
  }
  Deno.removeSync(place.path);
  assert.equal(await read(), null);
  place.put("h3");
  assert.equal(await read(), "h3");
  // A file that replaces another is read, too.
  place.put("h4", `${place.path}.new`);
  Deno.renameSync(`${place.path}.new`, place.path);
  assert.equal(await read(), "h4");
});

Deno.test("S14 StoreReader.current() reads the file in a replaced folder", async () => {
  using place = new StorePlace();
  const state = `${place.folder}/state`;
  const reader = new StoreReader(`${state}/topology.db`);
  place.put("h1", `${state}/topology.db`);
  place.put("h2", `${place.folder}/next/topology.db`);
  assert.equal((await reader.current(never))?.versionHash, "h1");
  Deno.renameSync(state, `${place.folder}/old`);
  assert.equal(await reader.current(never), null);
  Deno.renameSync(`${place.folder}/next`, state);
  assert.equal((await reader.current(never))?.versionHash, "h2");
  Deno.removeSync(state, { recursive: true });
  assert.equal(await reader.current(never), null);
  reader.close();
});

test("StoreReader.current() throws until a damaged file is replaced", async (read, place) => {
  const { path } = place;
  place.put();
  assert.equal(await read(), "h1");
  const whole = Deno.readFileSync(path);
  for (const damaged of [new Uint8Array(8192).fill(255), whole.slice(0, 100)]) {
    Deno.writeFileSync(path, damaged);
    for (let times = 0; times < 2; times++) await assert.rejects(read(), /database/);
    Deno.writeFileSync(path, whole);
    assert.equal(await read(), "h1");
  }
});

test("StoreReader.current() treats a dropped table as an idle host", async (read, place) => {
  place.put();
  assert.equal(await read(), "h1");
  execSql(place.path, "DROP TABLE applied_topology; VACUUM");
  assert.equal(await read(), null);
  place.put("h2");
  assert.equal(await read(), "h2");
});

test(
  "S18 StoreReader.current() reads again when a change begins at opening",
  async (read, place) => {
    const journal = `${place.path}-journal`;
    place.put();
    crashInAChange(place.path);
    const { lstatSync } = Deno;
    let looks = 0;
    Deno.lstatSync = (file) => {
      if (file === journal && ++looks === 1) throw new Deno.errors.NotFound("not yet");
      return lstatSync(file);
    };
    try {
      assert.equal(await read(), "h1");
    } finally {
      Deno.lstatSync = lstatSync;
    }
    assert.ok(looks > 1);
  },
);

test(
  "StoreReader.close() leaves nothing open, and nothing written",
  async (read, place, reader) => {
    const { path } = place;
    place.put();
    Deno.utimeSync(path, 1_000, 1_000);
    for (let times = 0; times < 3; times++) {
      assert.equal(await read(), "h1");
      reader.close();
    }
    assert.equal(Deno.statSync(path).mtime?.getTime(), 1_000_000);
    const open = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => linkOf(name));
    assert.deepEqual(open.filter((target) => target === path), []);
    assert.equal(await read(), "h1");
  },
);

function linkOf(name: string): string {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${name}`);
  } catch {
    return ""; // The descriptor that listed the folder is closed.
  }
}

test("StoreReader.current() waits for a lock, unless it is aborted", async (read, place) => {
  place.put();
  const other = new DatabaseSync(place.path);
  other.exec("BEGIN EXCLUSIVE");
  const stop = new AbortController();
  const startedAt = performance.now();
  const stopped = read(stop.signal);
  stop.abort();
  await assert.rejects(stopped, /database is locked/);
  assert.ok(performance.now() - startedAt < 3_000);
  const reading = read();
  await new Promise((resolve) => setTimeout(resolve, 100));
  other.exec("ROLLBACK");
  other.close();
  assert.equal(await reading, "h1");
});

/** SQLite's change counter, by which it decides whether what it has read is still valid. */
function changeCounterOf(file: Uint8Array): number {
  return new DataView(file.buffer).getUint32(24);
}

test("S14 StoreReader.current() reads a copy with an equal change counter", async (read, place) => {
  const { path } = place;
  const copy = `${place.folder}/copy.db`;
  place.put("h1");
  place.put("h2", copy);
  assert.equal(await read(), "h1");
  const bytes = Deno.readFileSync(copy);
  assert.equal(changeCounterOf(bytes), changeCounterOf(Deno.readFileSync(path)));
  // The clock of the file system advances in steps.
  const scratch = `${place.folder}/scratch`;
  const changedAt = (file: string) => Deno.lstatSync(file).ctime!.getTime();
  do Deno.writeTextFileSync(scratch, ""); while (changedAt(scratch) === changedAt(path));
  // As cp does: the inode and the size stay the same.
  Deno.writeFileSync(path, bytes);
  assert.equal(await read(), "h2");
});

/** Lets only updates fail; what is kept in memory is written by other statements. */
const failUpdates = "CREATE TRIGGER full BEFORE UPDATE ON applied_topology " +
  "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";

Deno.test("Agent.collect() writes what memory keeps only if it repairs", async () => {
  await using setup = await AgentSetup.create();
  setup.changeStore((store) => store.put(topologyId, "h1", "{}"));
  runSql(setup.storePath, failUpdates);
  const fallback = new FallbackStore(setup.storePath);
  const agent = setup.newAgent({ fallback, master: null });
  try {
    const { snapshot } = await agent.sendHeartbeat(never);
    fallback.recover();
    fallback.put(topologyId, versionHash, document);
    const { mtime } = Deno.statSync(setup.storePath);
    const changed = await agent.collector.collect(never, { repairs: false });
    assert.notEqual(agent.fingerprint(changed), agent.fingerprint(snapshot));
    assert.ok(fallback.problem);
    assert.deepEqual(Deno.statSync(setup.storePath).mtime, mtime);
    const { body } = await agent.sendHeartbeat(never);
    assert.deepEqual([body.topology?.applied_version_hash, fallback.problem], [versionHash, null]);
  } finally {
    agent.close();
  }
});
