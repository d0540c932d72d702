import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { crashInAChange } from "../tests/half_written_store.ts";
import { TemporaryFolder } from "../tests/temporary_folder.ts";
import { listSetAside, setAsideIfDamaged, TopologyStore } from "./mod.ts";

const start = Date.UTC(2026, 10, 22, 19, 5, 1);
const at = (seconds: number) => ({ now: () => start + seconds * 1000 });

/** SQLite rolls back what begins otherwise, and then removes it itself. */
const coldJournal = "\0 nothing to roll back";

/** Runs a test on a folder with a way to put a damaged file, or this text, in the store's place. */
function withFolder(
  test: (path: string, harm: (text?: string) => void, names: () => string[]) => void,
): void {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  const harm = (text = "no database ".repeat(999)) => Deno.writeTextFileSync(path, text);
  test(path, harm, () => [...Deno.readDirSync(folder.path)].map(({ name }) => name).sort());
}

function put(path: string): void {
  using store = TopologyStore.open(path);
  store.put("A", "h1", "{}");
}

Deno.test("setAsideIfDamaged() renames a damaged file after the time, and leaves no other", () => {
  withFolder((path, harm, names) => {
    harm();
    const aside = `${path}.corrupt-20261122T190501Z`;
    assert.equal(setAsideIfDamaged(path, at(0)), aside);
    assert.deepEqual(names(), ["topology.db.corrupt-20261122T190501Z"]);
    assert.deepEqual(listSetAside(path), [aside]);
    put(path);
    assert.equal(setAsideIfDamaged(path, at(1)), null);
    assert.deepEqual(names(), ["topology.db", "topology.db.corrupt-20261122T190501Z"]);
  });
});

Deno.test("setAsideIfDamaged() takes a journal along, and leaves the lock", () => {
  withFolder((path, harm, names) => {
    harm();
    Deno.writeTextFileSync(`${path}-journal`, coldJournal);
    Deno.writeTextFileSync(`${path.replace(/[^/]*$/, "apply.lock")}`, "");
    setAsideIfDamaged(path, at(0));
    const aside = "topology.db.corrupt-20261122T190501Z";
    assert.deepEqual(names(), ["apply.lock", aside, `${aside}-journal`]);
    assert.deepEqual(listSetAside(path), [path.replace(/[^/]*$/, aside)]);
  });
});

Deno.test("setAsideIfDamaged() keeps three, the newest and the one just made", () => {
  withFolder((path, harm) => {
    const times = () => listSetAside(path).map((it) => it.slice(-8));
    for (let second = 0; second < 5; second++) {
      harm();
      Deno.writeTextFileSync(`${path}-journal`, coldJournal);
      setAsideIfDamaged(path, at(second));
    }
    assert.deepEqual(times(), ["T190505Z", "T190504Z", "T190503Z"]);
    // A clock that was set back makes the newest look like the oldest.
    harm();
    assert.ok(setAsideIfDamaged(path, at(-600))?.endsWith("T185501Z"));
    assert.deepEqual(times(), ["T190505Z", "T190504Z", "T185501Z"]);
    // With their journals: the last had none.
    const names = [...Deno.readDirSync(path.replace(/[^/]*$/, ""))];
    assert.equal(names.length, 5);
  });
});

Deno.test("setAsideIfDamaged() overwrites none that was set aside in the same second", () => {
  withFolder((path, harm) => {
    for (const text of ["first", "second", "third"]) {
      harm(text.repeat(999));
      setAsideIfDamaged(path, at(0));
    }
    assert.deepEqual(
      listSetAside(path).map((it) => [it.slice(-8), Deno.readTextFileSync(it).slice(0, 5)]),
      [["T190503Z", "third"], ["T190502Z", "secon"], ["T190501Z", "first"]],
    );
  });
});

Deno.test("setAsideIfDamaged() leaves what is in order, empty, absent, or a crash's half-written file", () => {
  withFolder((path, harm, names) => {
    assert.equal(setAsideIfDamaged(path), null);
    assert.deepEqual(names(), []);
    harm("");
    assert.equal(setAsideIfDamaged(path), null);
    put(path);
    assert.equal(setAsideIfDamaged(path), null);
    crashInAChange(path);
    assert.equal(setAsideIfDamaged(path), null);
    using store = TopologyStore.open(path);
    assert.equal(store.current()?.lastError, null);
    assert.deepEqual(names(), ["topology.db"]);
  });
});

Deno.test("setAsideIfDamaged() leaves a file that somebody holds locked, and says that it is", () => {
  withFolder((path, _, names) => {
    put(path);
    const other = new DatabaseSync(path);
    other.exec("BEGIN EXCLUSIVE");
    assert.throws(() => setAsideIfDamaged(path, { busyTimeoutMs: 0 }), /database is locked/);
    other.close();
    assert.deepEqual(listSetAside(path), []);
    assert.deepEqual(names(), ["topology.db"]);
  });
});

Deno.test("setAsideIfDamaged() leaves what is no file, and a folder in which it cannot look", () => {
  withFolder((path) => {
    Deno.mkdirSync(path);
    assert.throws(() => setAsideIfDamaged(path), /not a regular file/);
    assert.throws(() => setAsideIfDamaged(`${path}/absent/x\0y`));
    assert.equal(setAsideIfDamaged(`${path}/absent/topology.db`), null);
    assert.deepEqual(listSetAside(`${path}/absent/topology.db`), []);
  });
});

Deno.test("setAsideIfDamaged() reads all of the file: also what reading the row does not need", () => {
  withFolder((path) => {
    put(path);
    const bytes = Deno.readFileSync(path);
    const pageOf = new DatabaseSync(path, { readOnly: true });
    const { page } = pageOf.prepare(
      "SELECT rootpage AS page FROM sqlite_schema WHERE type = 'index' AND sql IS NULL",
    ).get()!;
    pageOf.close();
    bytes.fill(0, (Number(page) - 1) * 4096, Number(page) * 4096);
    Deno.writeFileSync(path, bytes);
    {
      using reader = TopologyStore.open(path, { readOnly: true });
      assert.equal(reader.current()?.versionHash, "h1");
    }
    assert.ok(setAsideIfDamaged(path));
  });
});

Deno.test("setAsideIfDamaged() leaves what an operator keeps beside the files that it has set aside", () => {
  withFolder((path, harm, names) => {
    const own = ["20261122T190400Z.sql", "20261122T190500Z~", "of-last-week"];
    for (const end of own) Deno.writeTextFileSync(`${path}.corrupt-${end}`, "");
    Deno.mkdirSync(`${path}.corrupt-looked-at`);
    for (let second = 0; second < 5; second++) {
      harm();
      setAsideIfDamaged(path, at(second));
    }
    assert.equal(listSetAside(path).length, 3);
    for (const end of [...own, "looked-at"]) {
      assert.ok(names().includes(`topology.db.corrupt-${end}`), end);
    }
  });
});
