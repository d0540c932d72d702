import { requirement } from "../requirements.ts";

/** Where control groups that limit memory can be made, and what the limit is called there. */
interface Hierarchy {
  readonly folder: string;
  readonly limit: string;
}

/** The hierarchy of the first version that has memory, or that of the second; null without one. */
function findHierarchy(): Hierarchy | null {
  for (const line of Deno.readTextFileSync("/proc/self/mountinfo").split("\n")) {
    const [before = "", after = ""] = line.split(" - ");
    const folder = before.split(" ")[4]!;
    if (after.startsWith("cgroup ") && /[ ,]memory(,|$)/.test(after)) {
      return { folder, limit: "memory.limit_in_bytes" };
    }
    if (!after.startsWith("cgroup2 ")) continue;
    const file = `${folder}/cgroup.subtree_control`;
    if (Deno.readTextFileSync(file).split(/\s/).includes("memory")) {
      return { folder, limit: "memory.max" };
    }
  }
  return null;
}

const hierarchy = findHierarchy();

/** A control group of its own, which may take so much memory, swap apart. */
export class MemoryGroup implements Disposable {
  readonly #folder: string;

  constructor(mebibytes: number) {
    this.#folder = `${hierarchy!.folder}/decnet-test-${crypto.randomUUID()}`;
    Deno.mkdirSync(this.#folder);
    Deno.writeTextFileSync(`${this.#folder}/${hierarchy!.limit}`, String(mebibytes * 2 ** 20));
  }

  /** Starts a program in it. */
  get wrapper(): string[] {
    return ["sh", "-c", `echo $$ > ${this.#folder}/cgroup.procs && exec "$0" "$@"`];
  }

  /** All that ran in it must have ended. */
  [Symbol.dispose](): void {
    Deno.removeSync(this.#folder);
  }
}

function canLimit(): boolean {
  try {
    new MemoryGroup(64)[Symbol.dispose]();
    return true;
  } catch {
    return false;
  }
}

/** What tests with limited memory need. */
export const memoryGroups = requirement(
  "the right to limit memory by control groups",
  hierarchy !== null && canLimit(),
);
