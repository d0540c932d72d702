import { type AppliedTopology, explain, findDamage, isLocked, StoreReader } from "../store/mod.ts";
import { look } from "./files.ts";

/** How long another process may hold the store, in milliseconds, and between two looks. */
const patienceMs = 2_000;
const pauseMs = 50;

/** What can be read of the store without changing anything. */
export type StoreFindings =
  | { readonly state: "absent" }
  | { readonly state: "read"; readonly applied: AppliedTopology | null }
  | {
    readonly state: "forbidden" | "not a file" | "damaged" | "locked" | "journal" | "wal" | "error";
    readonly detail: string;
  };

/**
 * Reads all of the store. Where SQLite would have to write, to undo what a crash left half-written or
 * beside a file in WAL mode, it is not opened.
 */
export async function readStore(path: string, signal: AbortSignal): Promise<StoreFindings> {
  for (const startedAt = performance.now();;) {
    const findings = await readOnce(path);
    const isPassing = findings.state === "locked" || findings.state === "journal";
    const isOver = signal.aborted || performance.now() - startedAt > patienceMs;
    if (!isPassing || isOver) return findings;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

async function readOnce(path: string): Promise<StoreFindings> {
  const file = await look(path);
  if (file === "absent") return { state: "absent" };
  if (file === "forbidden") return { state: "forbidden", detail: "permission denied" };
  if (!file.isFile) return { state: "not a file", detail: "it is not a regular file" };
  try {
    if (await isWal(path)) return { state: "wal", detail: "the file is in WAL mode" };
    if (await look(`${path}-journal`) !== "absent") {
      return { state: "journal", detail: "a change is half-written" };
    }
    const damage = findDamage(path, 0);
    if (damage !== null) return { state: "damaged", detail: damage };
    const reader = new StoreReader(path);
    try {
      return { state: "read", applied: await reader.current(AbortSignal.abort()) };
    } finally {
      reader.close();
    }
  } catch (error) {
    const isForbidden = error instanceof Deno.errors.PermissionDenied;
    const state = isLocked(error) ? "locked" : isForbidden ? "forbidden" : "error";
    return { state, detail: explain(error) };
  }
}

/** By the bytes of its head that tell how it is read and written. */
async function isWal(path: string): Promise<boolean> {
  const file = await Deno.open(path);
  try {
    const head = new Uint8Array(20);
    const count = await file.read(head);
    const isDatabase = new TextDecoder().decode(head.subarray(0, 15)) === "SQLite format 3";
    return count === head.length && isDatabase && head[18] === 2;
  } finally {
    file.close();
  }
}
