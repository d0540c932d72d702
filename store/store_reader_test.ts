import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { TemporaryFolder } from "../tests/temporary_folder.ts";
import { StoreReader, TopologyStore } from "./mod.ts";

/** Runs a test on a reader of a store that is not there yet. */
function withReader(test: (reader: StoreReader, path: string) => void): void {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  const reader = new StoreReader(path);
  try {
    test(reader, path);
  } finally {
    reader.close();
  }
}

function put(path: string, hash: string): void {
  using store = TopologyStore.open(path);
  store.put("A", hash, "{}");
}

Deno.test("StoreReader.current() follows a store from its absence to its change and its end", () => {
  withReader((reader, path) => {
    assert.equal(reader.current(), null);
    put(path, "h1");
    assert.equal(reader.current()?.versionHash, "h1");
    put(path, "h2");
    assert.equal(reader.current()?.versionHash, "h2");
    Deno.removeSync(path);
    assert.equal(reader.current(), null);
    put(path, "h3");
    assert.equal(reader.current()?.versionHash, "h3");
  });
});

Deno.test("StoreReader.current() reads the file that has taken the place of another", () => {
  withReader((reader, path) => {
    put(path, "h1");
    assert.equal(reader.current()?.versionHash, "h1");
    put(`${path}.new`, "h2");
    Deno.renameSync(`${path}.new`, path);
    assert.equal(reader.current()?.versionHash, "h2");
  });
});

Deno.test("StoreReader.current() throws while the file is of no use, and reads it when it is mended", () => {
  withReader((reader, path) => {
    put(path, "h1");
    assert.equal(reader.current()?.versionHash, "h1");
    const whole = Deno.readFileSync(path);
    for (const harm of [new Uint8Array(8192).fill(255), whole.slice(0, 100)]) {
      Deno.writeFileSync(path, harm);
      for (let times = 0; times < 2; times++) assert.throws(() => reader.current(), /database/);
      Deno.writeFileSync(path, whole);
      assert.equal(reader.current()?.versionHash, "h1");
    }
  });
});

Deno.test("StoreReader.current() takes a table that another program has dropped for an idle host", () => {
  withReader((reader, path) => {
    put(path, "h1");
    assert.equal(reader.current()?.versionHash, "h1");
    const database = new DatabaseSync(path);
    database.exec("DROP TABLE applied_topology; VACUUM");
    database.close();
    assert.equal(reader.current(), null);
    put(path, "h2");
    assert.equal(reader.current()?.versionHash, "h2");
  });
});

Deno.test("StoreReader.current() undoes what a writer left half-written when it crashed", () => {
  withReader((reader, path) => {
    put(path, "h1");
    assert.equal(reader.current()?.versionHash, "h1");
    const database = new DatabaseSync(path);
    // A cache of one page makes SQLite write to the file before the commit.
    database.exec("PRAGMA cache_size = 1; BEGIN IMMEDIATE");
    database.prepare("UPDATE applied_topology SET last_error = ?").run("x".repeat(100_000));
    const [file, journal] = [Deno.readFileSync(path), Deno.readFileSync(`${path}-journal`)];
    database.exec("ROLLBACK");
    database.close();
    Deno.writeFileSync(`${path}-journal`, journal);
    Deno.writeFileSync(path, file);
    assert.equal(reader.current()?.lastError, null);
    assert.equal(reader.current()?.versionHash, "h1");
  });
});

Deno.test("StoreReader.current() sees no half of a change that is being written", () => {
  withReader((reader, path) => {
    put(path, "h1");
    assert.equal(reader.current()?.versionHash, "h1");
    const database = new DatabaseSync(path);
    database.exec("BEGIN IMMEDIATE; UPDATE applied_topology SET applied_version_hash = 'h2'");
    assert.equal(reader.current()?.versionHash, "h1");
    database.exec("COMMIT");
    database.close();
    assert.equal(reader.current()?.versionHash, "h2");
  });
});

Deno.test("StoreReader.current() never writes, and leaves nothing open after close()", () => {
  withReader((reader, path) => {
    put(path, "h1");
    Deno.utimeSync(path, 1_000, 1_000);
    for (let times = 0; times < 3; times++) {
      assert.equal(reader.current()?.versionHash, "h1");
      reader.close();
    }
    assert.equal(Deno.statSync(path).mtime?.getTime(), 1_000_000);
    const open = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => linkOf(name));
    assert.deepEqual(open.filter((target) => target === path), []);
    assert.equal(reader.current()?.versionHash, "h1");
  });
});

function linkOf(name: string): string {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${name}`);
  } catch {
    return ""; // The one by which the folder was listed is gone.
  }
}
