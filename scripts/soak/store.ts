import { DatabaseSync } from "node:sqlite";
import { TopologyStore } from "../../store/mod.ts";
import type { PushedDocument } from "../demo/document.ts";
import type { Condition, Subject } from "./ailment.ts";

/** For how long a lock that nobody notices is held, in milliseconds. */
const shortLockMs = 60;

/** Makes a store that holds what was pushed, and goes through what happens to files. */
export function openStore(
  path: string,
  { text, topology, versionHash }: PushedDocument,
  stack: AsyncDisposableStack,
): Subject {
  /** Puts a new file in the place of the store. */
  const replace = (write: (fresh: string) => void) => {
    const fresh = `${path}.fresh`;
    write(fresh);
    Deno.renameSync(fresh, path);
  };
  const holding = (change: (store: TopologyStore) => void) => () =>
    replace((fresh) => {
      using store = TopologyStore.open(fresh);
      change(store);
    });
  const put = holding((store) => store.put(topology.id, versionHash, text));
  put();
  const inPlace = (change: (store: TopologyStore) => void) => () => {
    using store = TopologyStore.open(path);
    change(store);
  };
  let lock: DatabaseSync | null = null;
  const unlock = () => {
    lock?.close();
    lock = null;
  };
  stack.defer(unlock);
  const lockIt = () => {
    unlock();
    lock = new DatabaseSync(path);
    lock.exec("BEGIN EXCLUSIVE");
  };
  const condition = (name: string, begin: () => void): Condition => ({
    name,
    begin: () => {
      unlock();
      begin();
    },
  });
  return {
    // The store or the recorded error, and the drift.
    linesPerChange: 2,
    well: condition("the store holds what was applied", put),
    unwell: [
      condition("the store is removed", () => Deno.removeSync(path)),
      condition("the store is no database", () => {
        replace((fresh) => Deno.writeTextFileSync(fresh, "no database ".repeat(500)));
      }),
      condition(
        "the store holds an error",
        inPlace((store) => store.recordError(topology.id, "Cannot create a container: no")),
      ),
      condition(
        "the store holds another version",
        inPlace((store) => store.put(topology.id, "another", text)),
      ),
      condition(
        "the store holds an unknown document",
        holding((store) => store.recordError("unheard-of", "Cannot read the document: no")),
      ),
      condition("the store is taken away half-way", () => Deno.truncateSync(path, 512)),
      {
        ...condition("the store is locked for a moment", () => {
          lockIt();
          setTimeout(unlock, shortLockMs);
        }),
        isShort: true,
      },
      { ...condition("the store stays locked", lockIt), onceIn: 8_000 },
    ],
  };
}
