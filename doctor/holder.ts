import { printable } from "../host/mod.ts";
import { readText } from "./files.ts";

/** Who holds a lock, by what its file tells: a process that was killed could not erase it. */
export interface Holder {
  /** `process 4711 since … for …`. */
  readonly text: string;
  /** In milliseconds since 1970; null when the file does not tell. */
  readonly since: number | null;
}

/** Reads the file of a lock, and does not take the lock; null when nobody holds it. */
export async function readHolder(path: string): Promise<Holder | null> {
  const text = printable((await readText(path) ?? "").slice(0, 200)).trim();
  if (text === "") return null;
  const since = Date.parse(/ since (\S+)/.exec(text)?.[1] ?? "");
  return { text, since: Number.isNaN(since) ? null : since };
}
