import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { AgentSetup, document, topologyId, versionHash } from "../tests/support/agent_setup.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { crashInAChange, runSql } from "../tests/support/store.ts";
import { FallbackStore } from "./recovery.ts";
import { StoreReader } from "./store_reader.ts";
import { TopologyStore } from "./topology_store.ts";

const { signal } = new AbortController();

/** Runs a test on a reader of a store that is not there yet. */
async function withReader(
  test: (reader: StoreReader, path: string) => Promise<void>,
): Promise<void> {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  const reader = new StoreReader(path);
  try {
    await test(reader, path);
  } finally {
    reader.close();
  }
}

function put(path: string, hash: string): void {
  using store = TopologyStore.open(path);
  store.put("A", hash, "{}");
}

Deno.test("S1 StoreReader.current() follows a store that is made and removed", async () => {
  await withReader(async (reader, path) => {
    assert.equal(await reader.current(signal), null);
    put(path, "h1");
    assert.equal((await reader.current(signal))?.versionHash, "h1");
    put(path, "h2");
    assert.equal((await reader.current(signal))?.versionHash, "h2");
    Deno.removeSync(path);
    assert.equal(await reader.current(signal), null);
    put(path, "h3");
    assert.equal((await reader.current(signal))?.versionHash, "h3");
  });
});

Deno.test("S14 StoreReader.current() reads the file that has replaced another", async () => {
  await withReader(async (reader, path) => {
    put(path, "h1");
    assert.equal((await reader.current(signal))?.versionHash, "h1");
    put(`${path}.new`, "h2");
    Deno.renameSync(`${path}.new`, path);
    assert.equal((await reader.current(signal))?.versionHash, "h2");
  });
});

Deno.test("S14 StoreReader.current() reads the file in a replaced folder", async () => {
  using folder = new TemporaryFolder();
  const state = `${folder.path}/state`;
  const reader = new StoreReader(`${state}/topology.db`);
  put(`${state}/topology.db`, "h1");
  put(`${folder.path}/next/topology.db`, "h2");
  assert.equal((await reader.current(signal))?.versionHash, "h1");
  Deno.renameSync(state, `${folder.path}/old`);
  assert.equal(await reader.current(signal), null);
  Deno.renameSync(`${folder.path}/next`, state);
  assert.equal((await reader.current(signal))?.versionHash, "h2");
  Deno.removeSync(state, { recursive: true });
  assert.equal(await reader.current(signal), null);
  reader.close();
});

Deno.test("StoreReader.current() throws while the file is of no use, and reads it when it is mended", async () => {
  await withReader(async (reader, path) => {
    put(path, "h1");
    assert.equal((await reader.current(signal))?.versionHash, "h1");
    const whole = Deno.readFileSync(path);
    for (const harm of [new Uint8Array(8192).fill(255), whole.slice(0, 100)]) {
      Deno.writeFileSync(path, harm);
      for (let times = 0; times < 2; times++) {
        await assert.rejects(reader.current(signal), /database/);
      }
      Deno.writeFileSync(path, whole);
      assert.equal((await reader.current(signal))?.versionHash, "h1");
    }
  });
});

Deno.test("StoreReader.current() takes a table that another program has dropped for an idle host", async () => {
  await withReader(async (reader, path) => {
    put(path, "h1");
    assert.equal((await reader.current(signal))?.versionHash, "h1");
    const database = new DatabaseSync(path);
    database.exec("DROP TABLE applied_topology; VACUUM");
    database.close();
    assert.equal(await reader.current(signal), null);
    put(path, "h2");
    assert.equal((await reader.current(signal))?.versionHash, "h2");
  });
});

Deno.test("StoreReader.current() undoes what a writer left half-written when it crashed", async () => {
  await withReader(async (reader, path) => {
    put(path, "h1");
    assert.equal((await reader.current(signal))?.versionHash, "h1");
    crashInAChange(path);
    assert.equal((await reader.current(signal))?.lastError, null);
    assert.equal((await reader.current(signal))?.versionHash, "h1");
  });
});

Deno.test("S18 StoreReader.current() reads again when a change begins at opening", async () => {
  await withReader(async (reader, path) => {
    put(path, "h1");
    crashInAChange(path);
    const { lstatSync } = Deno;
    const looks: string[] = [];
    Deno.lstatSync = (file) => {
      looks.push(String(file));
      const isFirst = looks.filter((it) => it === file).length === 1;
      if (isFirst && file === `${path}-journal`) throw new Deno.errors.NotFound("not yet");
      return lstatSync(file);
    };
    try {
      assert.equal((await reader.current(signal))?.versionHash, "h1");
    } finally {
      Deno.lstatSync = lstatSync;
    }
    assert.ok(looks.filter((it) => it === `${path}-journal`).length > 1);
  });
});

Deno.test("StoreReader.current() sees no half of a change that is being written", async () => {
  await withReader(async (reader, path) => {
    put(path, "h1");
    assert.equal((await reader.current(signal))?.versionHash, "h1");
    const database = new DatabaseSync(path);
    database.exec("BEGIN IMMEDIATE; UPDATE applied_topology SET applied_version_hash = 'h2'");
    assert.equal((await reader.current(signal))?.versionHash, "h1");
    database.exec("COMMIT");
    database.close();
    assert.equal((await reader.current(signal))?.versionHash, "h2");
  });
});

Deno.test("StoreReader.current() never writes, and leaves nothing open after close()", async () => {
  await withReader(async (reader, path) => {
    put(path, "h1");
    Deno.utimeSync(path, 1_000, 1_000);
    for (let times = 0; times < 3; times++) {
      assert.equal((await reader.current(signal))?.versionHash, "h1");
      reader.close();
    }
    assert.equal(Deno.statSync(path).mtime?.getTime(), 1_000_000);
    const open = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => linkOf(name));
    assert.deepEqual(open.filter((target) => target === path), []);
    assert.equal((await reader.current(signal))?.versionHash, "h1");
  });
});

function linkOf(name: string): string {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${name}`);
  } catch {
    return ""; // The one by which the folder was listed is gone.
  }
}

Deno.test("StoreReader.current() waits for a lock without keeping the process from anything", async () => {
  await withReader(async (reader, path) => {
    put(path, "h1");
    const other = new DatabaseSync(path);
    other.exec("BEGIN EXCLUSIVE");
    const reading = reader.current(signal);
    await new Promise((resolve) => setTimeout(resolve, 100));
    other.exec("ROLLBACK");
    other.close();
    assert.equal((await reading)?.versionHash, "h1");
  });
});

Deno.test("StoreReader.current() gives a lock up at once when it is asked to stop", async () => {
  await withReader(async (reader, path) => {
    put(path, "h1");
    const other = new DatabaseSync(path);
    other.exec("BEGIN EXCLUSIVE");
    const stop = new AbortController();
    const startedAt = performance.now();
    const reading = reader.current(stop.signal);
    stop.abort();
    await assert.rejects(reading, /database is locked/);
    assert.ok(performance.now() - startedAt < 3_000);
    other.close();
  });
});

/** SQLite's counter of changes, by which it knows whether what it has read still holds. */
function changesOf(file: Uint8Array): number {
  return new DataView(file.buffer).getUint32(24);
}

Deno.test("S21 StoreReader.current() reads a copy with an equal change counter", async () => {
  using folder = new TemporaryFolder();
  const { signal } = new AbortController();
  const [path, copy] = [`${folder.path}/topology.db`, `${folder.path}/copy.db`];
  for (const [file, id] of [[path, "A"], [copy, "B"]] as const) {
    using store = TopologyStore.open(file);
    store.put(id, "h1", "{}");
  }
  const reader = new StoreReader(path);
  assert.equal((await reader.current(signal))?.topologyId, "A");
  const bytes = Deno.readFileSync(copy);
  assert.equal(changesOf(bytes), changesOf(Deno.readFileSync(path)));
  // The clock of the file system goes in steps.
  const scratch = `${folder.path}/scratch`;
  const changedAt = (file: string) => Deno.lstatSync(file).ctime!.getTime();
  do Deno.writeTextFileSync(scratch, ""); while (changedAt(scratch) === changedAt(path));
  // As cp does: the file stays the same, and its size.
  Deno.writeFileSync(path, bytes);
  assert.equal((await reader.current(signal))?.topologyId, "B");
  reader.close();
});

const never = new AbortController().signal;
/** Only an update fails by it; what was kept is put in the place of the row. */
const fill = "CREATE TRIGGER full BEFORE UPDATE ON applied_topology " +
  "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";

Deno.test("Agent.hasNews() writes nothing: what was kept in memory is written with the next beat", async () => {
  await using setup = await AgentSetup.create();
  setup.changeStore((store) => store.put(topologyId, "h1", "{}"));
  runSql(setup.storePath, fill);
  const memory = new FallbackStore(setup.storePath);
  const agent = setup.newAgent({ memory, master: null });
  try {
    const { snapshot } = await agent.sendHeartbeat(never);
    memory.recover();
    memory.put(topologyId, versionHash, document);
    const { mtime } = Deno.statSync(setup.storePath);
    const changed = await agent.collect(never, { repairs: false });
    assert.notEqual(agent.fingerprint(changed), agent.fingerprint(snapshot));
    assert.ok(memory.problem);
    assert.deepEqual(Deno.statSync(setup.storePath).mtime, mtime);
    const { body } = await agent.sendHeartbeat(never);
    assert.deepEqual(
      [body.topology?.applied_version_hash, memory.problem],
      [versionHash, null],
    );
  } finally {
    agent.close();
  }
});
