import { DatabaseSync } from "node:sqlite";
import { TopologyStore } from "../store/mod.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

/** A document whose keys are not in order. */
export const document = '{"topology":{"id":"A"},"lans":[]}';
/** The same as the store keeps it. */
export const sortedDocument = '{"lans":[],"topology":{"id":"A"}}';

/** Runs a test on a store of its own, whose clock stands at 1,000 s until it is moved. */
export function withStore(
  test: (store: TopologyStore, more: { path: string; clock: { ms: number } }) => void,
): void {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/topology.db`;
  const clock = { ms: 1_000_999 };
  using store = TopologyStore.open(path, { now: () => clock.ms });
  test(store, { path, clock });
}

/** Runs one statement on a connection of its own, and answers the rows. */
export function runSql(path: string, sql: string): Record<string, unknown>[] {
  const database = new DatabaseSync(path);
  try {
    return database.prepare(sql).all();
  } finally {
    database.close();
  }
}

/** The row after `put("A", "h1", document)`. */
export const row = {
  topologyId: "A",
  versionHash: "h1",
  document: sortedDocument,
  appliedAt: 1_000,
  lastError: null,
  hasOlderRows: false,
};
/** The error when another topology than A comes then. */
export const refusal = {
  name: "AlreadyApplied",
  message: "agent already has topology 'A'; cannot apply 'B'",
  appliedId: "A",
};
