import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { crashInAChange } from "../tests/half_written_store.ts";
import { TemporaryFolder } from "../tests/temporary_folder.ts";
import { TopologyStore } from "./mod.ts";

const modeOf = (path: string) => (Deno.statSync(path).mode! & 0o777).toString(8);
const namesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

/** All that tells whether a file was written. */
function stateOf(path: string) {
  const { mtime, ino } = Deno.statSync(path);
  return { bytes: Deno.readFileSync(path), mtime: mtime?.getTime(), ino };
}

function putOne(path: string): void {
  using store = TopologyStore.open(path);
  store.put("A", "h1", "{}");
}

Deno.test("TopologyStore.open() creates file and folder for the owner alone, whatever the umask", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/one/two/topology.db`;
  const umask = Deno.umask(0);
  try {
    putOne(path);
  } finally {
    Deno.umask(umask);
  }
  assert.equal(modeOf(path), "600");
  assert.equal(modeOf(`${folder.path}/one/two`), "700");
  assert.equal(modeOf(`${folder.path}/one`), "700");
  // A journal that stayed behind would belong to another way of writing.
  assert.deepEqual(namesIn(`${folder.path}/one/two`), ["topology.db"]);
});

Deno.test("TopologyStore.open() tightens a file that others can read, and not its folder", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  putOne(path);
  Deno.chmodSync(path, 0o644);
  Deno.chmodSync(folder.path, 0o755);
  using reader = TopologyStore.open(path, { readOnly: true });
  assert.equal(modeOf(path), "644");
  using store = TopologyStore.open(path);
  assert.equal(modeOf(path), "600");
  assert.equal(modeOf(folder.path), "755");
  assert.equal(store.current()?.topologyId, reader.current()?.topologyId);
});

Deno.test("TopologyStore.open() for reading creates nothing", () => {
  using folder = new TemporaryFolder();
  for (const path of [`${folder.path}/topology.db`, `${folder.path}/absent/topology.db`]) {
    using store = TopologyStore.open(path, { readOnly: true });
    assert.equal(store.current(), null);
    store.clear("A");
    assert.throws(() => store.put("A", "h1", "{}"), /Cannot write the store/);
    assert.throws(() => store.recordError("A", "boom"), /Cannot write the store/);
  }
  assert.deepEqual(namesIn(folder.path), []);
});

Deno.test("TopologyStore opened for reading writes nothing", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  putOne(path);
  Deno.utimeSync(path, 1_000, 1_000);
  const before = stateOf(path);
  {
    using store = TopologyStore.open(path, { readOnly: true });
    assert.equal(store.current()?.topologyId, "A");
    assert.throws(() => store.put("A", "h2", "{}"), /readonly/);
    assert.throws(() => store.recordError("A", "boom"), /readonly/);
    assert.throws(() => store.clear("A"), /readonly/);
  }
  assert.deepEqual(stateOf(path), before);
  assert.deepEqual(namesIn(folder.path), ["topology.db"]);
});

Deno.test("TopologyStore opened for writing writes nothing before something changes", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  putOne(path);
  Deno.utimeSync(path, 1_000, 1_000);
  const before = stateOf(path);
  using store = TopologyStore.open(path);
  assert.equal(store.current()?.topologyId, "A");
  assert.throws(() => store.put("B", "h1", "{}"), { name: "AlreadyApplied" });
  assert.deepEqual(stateOf(path), before);
  store.put("A", "h2", "{}");
  assert.notDeepEqual(stateOf(path), before);
});

Deno.test("TopologyStore takes an empty file for an idle host", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  Deno.createSync(path).close();
  using reader = TopologyStore.open(path, { readOnly: true });
  assert.equal(reader.current(), null);
  putOne(path);
  assert.equal(reader.current()?.topologyId, "A");
});

Deno.test("TopologyStore says what is wrong with a file that is no database, and leaves it", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  putOne(path);
  const whole = Deno.readFileSync(path);
  const cases: [bytes: Uint8Array, message: RegExp][] = [
    [new TextEncoder().encode("no database at all\n".repeat(99)), /file is not a database/],
    [new Uint8Array(4096).fill(255), /file is not a database/],
    [whole.slice(0, 5_000), /malformed/],
    [whole.map((byte, index) => index < 100 ? byte : 255), /malformed/],
  ];
  for (const [bytes, message] of cases) {
    Deno.writeFileSync(path, bytes);
    for (const readOnly of [true, false]) {
      const attempt = (use: (store: TopologyStore) => void) => () => {
        using store = TopologyStore.open(path, { readOnly });
        use(store);
      };
      assert.throws(attempt((store) => store.current()), message);
      assert.throws(attempt((store) => store.put("A", "h1", "{}")), message);
      assert.throws(attempt((store) => store.recordError("A", "boom")), message);
      assert.throws(attempt((store) => store.clear("A")), message);
    }
    assert.deepEqual(Deno.readFileSync(path), bytes);
  }
});

Deno.test("TopologyStore.open() refuses a folder in place of the file, and a file in place of the folder", () => {
  using folder = new TemporaryFolder();
  Deno.writeTextFileSync(`${folder.path}/file`, "");
  Deno.mkdirSync(`${folder.path}/folder`);
  for (const readOnly of [true, false]) {
    for (const path of [`${folder.path}/folder`, `${folder.path}/file/topology.db`]) {
      assert.throws(() => {
        using store = TopologyStore.open(path, { readOnly });
        store.current();
      }, Error);
    }
  }
});

Deno.test("TopologyStore undoes what a crash left half-written, be it for reading or for writing", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  putOne(path);
  for (const readOnly of [true, false]) {
    const copy = `${folder.path}/${readOnly}.db`;
    Deno.copyFileSync(path, copy);
    crashInAChange(copy);
    using store = TopologyStore.open(copy, { readOnly });
    assert.equal(store.current()?.versionHash, "h1");
    assert.equal(store.current()?.lastError, null);
    if (readOnly) assert.throws(() => store.put("A", "h2", "{}"), /readonly/);
    else store.put("A", "h2", "{}");
  }
  assert.deepEqual(namesIn(folder.path), ["false.db", "topology.db", "true.db"]);
});

Deno.test("TopologyStore.put() takes a file out of WAL mode, which a read-only folder would not allow", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  putOne(path);
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = WAL");
  database.close();
  putOne(path);
  const after = new DatabaseSync(path);
  assert.equal(after.prepare("PRAGMA journal_mode").get()?.journal_mode, "delete");
  after.close();
});
