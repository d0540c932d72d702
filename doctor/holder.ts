import { printable } from "../host/mod.ts";
import { readText } from "./files.ts";

/** Who holds a lock, by what its file tells: a process that was killed could not erase it. */
export interface Holder {
  /** `process 4711 since …`, and what for where the file does not say so by its name. */
  readonly text: string;
  /** In milliseconds since 1970; null when the file does not tell. */
  readonly since: number | null;
  /** Whether there is a process of that number; null when that cannot be seen. */
  readonly isThere: boolean | null;
}

/** Reads the file of a lock, and does not take the lock; null when it names nobody. */
export async function readHolder(path: string): Promise<Holder | null> {
  const text = printable((await readText(path) ?? "").slice(0, 200)).trim();
  if (text === "") return null;
  const since = Date.parse(/ since (\S+)/.exec(text)?.[1] ?? "");
  const pid = /^process (\d{1,9}) /.exec(text)?.[1];
  return {
    text: text.replace(/ for the loop$/, ""),
    since: Number.isNaN(since) ? null : since,
    isThere: pid === undefined ? null : await isProcess(Number(pid)),
  };
}

/** The same, but null as well when whoever is named has ended. */
export async function readLivingHolder(path: string): Promise<Holder | null> {
  const holder = await readHolder(path);
  return holder?.isThere === false ? null : holder;
}

/** What a lock's file tells of its holder, and whether that one is there. */
export function describeHolder({ text, isThere }: Holder, path: string): string {
  switch (isThere) {
    case true:
      return `${path} names ${text}, and there is such a process`;
    case false:
      return `${path} was held by ${text}, which has ended`;
    case null:
      return `${path} names ${text}; whether that one still runs, the agent is not shown`;
  }
}

/** Any fact of a process would do; the runtime hides /proc. */
async function isProcess(pid: number): Promise<boolean | null> {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "getPriority" });
  if (state !== "granted") return null;
  const { getPriority } = await import("node:os");
  try {
    getPriority(pid);
    return true;
  } catch (error) {
    return (error as Error).message.includes("ESRCH") ? false : null;
  }
}
