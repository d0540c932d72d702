import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { Log } from "../host/log.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import type { LogPosition } from "./container_log.ts";
import { PositionStore } from "./positions.ts";
import type { LogStatus } from "./status.ts";

const status: LogStatus = {
  at: 1,
  sent: 2,
  heldBack: 3,
  cut: 4,
  gaps: 5,
  followed: 6,
  behindSince: null,
  problem: null,
};
const noPositions: ReadonlyMap<string, LogPosition> = new Map();
const position = { timestamp: "2026-01-02T03:04:05.000000001Z", lines: 3 };

/** Runs a test with a store at a path; gives it the lines of the log. */
function withStore(
  test: (store: PositionStore, path: string, logged: string[]) => void,
): void {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/logs.db`;
  const logged: string[] = [];
  const log: Log = (level, message) => void logged.push(`${level}: ${message}`);
  const store = new PositionStore(path, log);
  test(store, path, logged);
  store.close();
}

Deno.test("PositionStore.read() returns what was saved, also to another process", () => {
  withStore((store, path, logged) => {
    assert.equal(store.read("a"), null);
    assert.equal(
      store.save(new Map([["a", position], ["b", { ...position, lines: 1 }]]), status),
      true,
    );
    assert.equal(store.save(new Map([["b", { ...position, lines: 2 }]]), status), true);
    assert.deepEqual(store.read("a"), position);
    const other = new PositionStore(path, () => {});
    assert.deepEqual(other.read("b"), { ...position, lines: 2 });
    other.close();
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    assert.deepEqual(logged, []);
  });
});

Deno.test("L13 PositionStore.save() starts anew with a damaged file", () => {
  withStore((store, path, logged) => {
    Deno.writeTextFileSync(path, "no database ".repeat(1000));
    assert.equal(store.read("a"), null);
    assert.equal(store.save(new Map([["a", position]]), status), true);
    assert.deepEqual(store.read("a"), position);
    assert.equal(logged.length, 2);
    assert.match(logged[0]!, /^warn: Cannot keep positions in .*file is not a database/);
    assert.match(logged[1]!, /^info: the positions in .* are kept again/);
  });
});

Deno.test("L13 PositionStore.save() starts anew with a file of another version", () => {
  for (const table of ["position (container TEXT PRIMARY KEY)", "status (id INTEGER, text TEXT)"]) {
    withStore((store, path) => {
      const database = new DatabaseSync(path);
      database.exec(`CREATE TABLE ${table}`);
      database.close();
      store.save(new Map([["a", position]]), status);
      assert.equal(store.save(new Map([["a", position]]), status), true, table);
      assert.deepEqual(store.read("a"), position);
    });
  }
});

Deno.test("L13 PositionStore.save() logs once while it cannot write", () => {
  withStore((store, path, logged) => {
    Deno.mkdirSync(path);
    for (let i = 0; i < 3; i++) assert.equal(store.save(noPositions, status), false);
    assert.equal(logged.length, 1);
    Deno.removeSync(path);
    assert.equal(store.save(noPositions, status), true);
    assert.equal(logged.length, 2);
  });
});

Deno.test("PositionStore.save() keeps the positions of the newest 20,000", () => {
  withStore((store) => {
    const positions = new Map(Array.from({ length: 21_000 }, (_, i) => [`${i}`, position]));
    store.save(positions, status);
    for (let i = 0; i < 1_000; i++) store.save(noPositions, status);
    assert.equal(store.read("0"), null);
    assert.equal(store.read("999"), null);
    assert.deepEqual(store.read("1000"), position);
  });
});
