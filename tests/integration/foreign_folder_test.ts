import assert from "node:assert/strict";
import { HistoryFile } from "../../apply/other_topology.ts";
import { linkProblem, statFile } from "../../host/files.ts";
import { FileLock } from "../../host/lock.ts";
import { createPrivateFile } from "../../host/new_file.ts";
import { checkFiles } from "../../store/file.ts";
import { historyPathOf, readHistory } from "../../store/history.ts";
import { quarantineIfDamaged } from "../../store/recovery.ts";
import { readRow } from "../../store/topology_store.ts";
import { TemporaryFolder, until } from "../support/environment.ts";
import { makeFifo, requirement } from "../support/requirements.ts";
import { asWriter, crashInAChange } from "../support/store.ts";

/** What root's commands do in a state folder that another user owns, who may be hostile. */

const root = requirement("root", Deno.uid() === 0);
/** The user of the folder. */
const nobody = 65_534;
const names = ["topology.db", "topology.db-journal", "topology.db-wal", "topology.db-shm"]
  .concat("apply.lock");

/** A state folder of another user, and a file outside of it. */
class ForeignFolder implements Disposable {
  readonly #folder = new TemporaryFolder();
  readonly path = `${this.#folder.path}/state`;
  readonly storePath = `${this.path}/topology.db`;
  readonly outside = `${this.#folder.path}/outside`;

  constructor() {
    Deno.mkdirSync(this.path);
    Deno.chownSync(this.path, nobody, nobody);
    Deno.chmodSync(this.#folder.path, 0o755);
    Deno.writeTextFileSync(this.outside, "precious", { mode: 0o644 });
  }

  /** Stores topology A as an apply does. */
  async put(): Promise<void> {
    await asWriter(this.storePath, (store) => store.put("A", "h1", "{}"));
  }

  /** The names in the folder, each with its owner, group and mode. */
  owners(): string[] {
    return [...Deno.readDirSync(this.path)].map(({ name }) => {
      const { uid, gid, mode } = Deno.lstatSync(`${this.path}/${name}`);
      return `${name} ${uid} ${gid} ${(mode! & 0o7777).toString(8)}`;
    }).sort();
  }

  /** What root can change of the file outside. */
  stateOutside(): string {
    const { uid, gid, mode, size } = Deno.statSync(this.outside);
    return `${uid} ${gid} ${mode} ${size} ${Deno.readTextFileSync(this.outside)}`;
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

root.test("S25 TopologyStore by root leaves files of the folder's user", async () => {
  using folder = new ForeignFolder();
  const before = Deno.umask(0o022);
  try {
    await folder.put();
  } finally {
    Deno.umask(before);
  }
  const ofNobody = (name: string) => `${name} ${nobody} ${nobody} 600`;
  assert.deepEqual(folder.owners(), ["apply.lock", "topology.db"].map(ofNobody));
  crashInAChange(folder.storePath);
  await folder.put();
  assert.deepEqual(folder.owners(), ["apply.lock", "topology.db"].map(ofNobody));
  // A damaged file is moved away.
  Deno.writeTextFileSync(folder.storePath, "garbage ".repeat(999));
  quarantineIfDamaged(folder.storePath);
  await folder.put();
  const own = folder.owners().filter((it) => !it.includes(".corrupt-"));
  assert.deepEqual(own, ["apply.lock", "topology.db"].map(ofNobody));
  (await FileLock.acquire(`${folder.path}/agent.lock`, { purpose: "test" })).release();
  assert.ok(folder.owners().includes(ofNobody("agent.lock")));
});

root.test("S25 TopologyStore by root leaves the owner of a file that existed", async () => {
  using folder = new ForeignFolder();
  for (const name of ["topology.db", "apply.lock"]) {
    Deno.writeTextFileSync(`${folder.path}/${name}`, "", { mode: 0o644 });
  }
  await folder.put();
  assert.deepEqual(folder.owners(), ["apply.lock 0 0 644", "topology.db 0 0 600"]);
});

/** Records that topology A was replaced, as an apply does. */
function replaceA({ storePath }: ForeignFolder): void {
  new HistoryFile(storePath).recordReplaced("A");
}

// deno-lint-ignore require-await
root.test("S25 HistoryFile by root leaves a file of the folder's user", async () => {
  using folder = new ForeignFolder();
  replaceA(folder);
  assert.deepEqual(folder.owners(), [`history.json ${nobody} ${nobody} 600`]);
});

const plants: Record<string, (folder: ForeignFolder, path: string) => void | Promise<void>> = {
  "link": ({ outside }, path) => Deno.symlinkSync(outside, path),
  "dangling link": ({ outside }, path) => Deno.symlinkSync(`${outside}.absent`, path),
  "hard link": ({ outside }, path) => Deno.linkSync(outside, path),
  "pipe": (_, path) => makeFifo(path),
};

for (const [what, plant] of Object.entries(plants)) {
  for (const name of names) {
    root.test(`S24 root refuses a ${what} as ${name}`, async () => {
      using folder = new ForeignFolder();
      // With a row, SQLite looks at the files beside it.
      if (name !== "topology.db") await folder.put();
      if (name === "apply.lock") Deno.removeSync(`${folder.path}/${name}`);
      await plant(folder, `${folder.path}/${name}`);
      const before = folder.stateOutside();
      const reason = /(is not a regular file|has another name, too \(a hard link\))/;
      await assert.rejects(folder.put(), reason);
      if (name !== "apply.lock") assert.throws(() => readRow(folder.storePath), reason);
      assert.equal(folder.stateOutside(), before);
      assert.throws(() => Deno.statSync(`${folder.outside}.absent`), Deno.errors.NotFound);
    });
  }
}

for (const [what, plant] of Object.entries(plants)) {
  root.test(`S24 root replaces a ${what} as history.json`, async () => {
    using folder = new ForeignFolder();
    const path = historyPathOf(folder.storePath);
    for (const name of [path, `${path}.${Deno.pid}.tmp`]) await plant(folder, name);
    const before = folder.stateOutside();
    assert.deepEqual(readHistory(folder.storePath).replaced, []);
    replaceA(folder);
    assert.equal(readHistory(folder.storePath).replaced.length, 1);
    assert.deepEqual(folder.owners(), [`history.json ${nobody} ${nobody} 600`]);
    assert.equal(folder.stateOutside(), before);
    assert.throws(() => Deno.statSync(`${folder.outside}.absent`), Deno.errors.NotFound);
  });
}

// deno-lint-ignore require-await
root.test("S24 root gives away no file that takes the place of a new one", async () => {
  using folder = new ForeignFolder();
  const path = `${folder.path}/apply.lock`;
  const before = folder.stateOutside();
  Deno.removeSync(folder.outside);
  const fs = globalThis.process.getBuiltinModule("node:fs");
  const { openSync } = fs;
  fs.openSync = (...args) => {
    Deno.removeSync(path);
    // A new file gets the inode number of one that is removed and closed.
    Deno.writeTextFileSync(folder.outside, "precious", { mode: 0o644 });
    Deno.symlinkSync(folder.outside, path);
    return openSync(...args);
  };
  try {
    assert.throws(() => createPrivateFile(path), /^Error: it was replaced$/);
  } finally {
    fs.openSync = openSync;
  }
  assert.equal(folder.stateOutside(), before);
});

root.test("S24 a journal makes root remove no other file", async () => {
  using folder = new ForeignFolder();
  await folder.put();
  crashInAChange(folder.storePath);
  endWithSuperJournal(`${folder.storePath}-journal`, folder.outside);
  const before = folder.stateOutside();
  assert.throws(() => readRow(folder.storePath), { message: "its journal names another file" });
  quarantineIfDamaged(folder.storePath);
  await folder.put();
  assert.equal(folder.stateOutside(), before);
});

Deno.test("checkFiles() passes a journal that is removed meanwhile", async () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  const program = `onmessage = ({ data: { journal, isOver } }) => {
    while (Atomics.load(isOver, 0) === 0) {
      Deno.writeTextFileSync(journal, "");
      Deno.removeSync(journal);
    }
    postMessage("over");
  };`;
  const url = `data:text/javascript,${encodeURIComponent(program)}`;
  const writer = new Worker(url, { type: "module" });
  const isOver = new Int32Array(new SharedArrayBuffer(4));
  writer.postMessage({ journal: `${path}-journal`, isOver });
  let seenCount = 0;
  await until(() => {
    for (let times = 0; times < 1_000; times++) {
      if (statFile(`${path}-journal`)) seenCount++;
      checkFiles(path);
    }
    return seenCount > 1_000;
  });
  const ended = new Promise((resolve) => writer.onmessage = resolve);
  Atomics.store(isOver, 0, 1);
  // A worker that is terminated may still write a file, so that the folder could not be removed.
  await ended;
  writer.terminate();
});

Deno.test("linkProblem() refuses hard links to root only", () => {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/file`;
  Deno.writeTextFileSync(path, "");
  assert.equal(linkProblem(Deno.lstatSync(path), 0), null);
  Deno.linkSync(path, `${path}.other`);
  assert.match(linkProblem(Deno.lstatSync(path), 0)!, /hard link/);
  assert.equal(linkProblem(Deno.lstatSync(path), 1000), null);
});

/** Appends the name of a file that SQLite removes after it has used the journal. */
function endWithSuperJournal(path: string, name: string): void {
  const bytes = new TextEncoder().encode(name);
  const numbers = new DataView(new ArrayBuffer(12));
  // The page with SQLite's locks, which no journal holds otherwise.
  numbers.setUint32(0, 2 ** 30 / 4096 + 1);
  numbers.setUint32(4, bytes.length);
  numbers.setUint32(8, bytes.reduce((sum, byte) => sum + byte, 0));
  const mark = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
  const parts = [new Uint8Array(numbers.buffer, 0, 4), bytes, new Uint8Array(numbers.buffer, 4)];
  Deno.writeFileSync(path, new Uint8Array([...parts.flatMap((it) => [...it]), ...mark]), {
    append: true,
  });
}
