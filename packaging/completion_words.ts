import type { Tables } from "./tables.ts";

/** A word, and what it is. */
export type Described = readonly [word: string, summary: string];

/** What may follow a flag, or stand as an operand. */
export type ValueKind = "file" | "folder" | "truth" | "none";

/** A flag as completions need it. */
export interface Flag {
  readonly name: string;
  readonly summary: string;
  /** The commands that it goes with; empty with all. One that is a command goes with itself. */
  readonly commands: readonly string[];
  /** What stands for its value; null for a switch. */
  readonly placeholder: string | null;
  readonly kind: ValueKind;
}

/** What can be completed. */
export interface Words {
  /** First words, without those that are flags. */
  readonly commands: readonly Described[];
  /** The commands whose operand is a file. */
  readonly fileCommands: readonly string[];
  /** Flags that are commands of their own, such as `--once`, then all others. */
  readonly flags: readonly Flag[];
  readonly printables: readonly Described[];
  readonly shells: readonly string[];
}

/** The words of a command line, out of the tables that the help is made of. */
export function wordsOf({ commands, options, keys, printables, shells }: Tables): Words {
  const named = commands.map(({ usage, summary }) => {
    const [name = "", operand = ""] = usage.split(" ");
    return { name, operand, summary };
  }).filter(({ name }) => name !== "");
  const plain = named.filter(({ name }) => !name.startsWith("-"));
  return {
    commands: plain.map(({ name, summary }) => [name, summary]),
    fileCommands: plain.filter(({ operand }) => operand.startsWith("FILE")).map((it) => it.name),
    flags: [
      ...named.filter(({ name }) => name.startsWith("-"))
        .map(({ name, summary }): Flag => {
          return { name, summary, commands: [name], placeholder: null, kind: "none" };
        }),
      ...options.map(({ flag: name, ...it }): Flag => ({ ...it, name, kind: kindOf(it) })),
      ...keys.map(({ name, placeholder, summary }): Flag => {
        const kind = kindOf({ placeholder });
        return { name: `--${name}`, summary, commands: [], placeholder, kind };
      }),
    ],
    printables: Object.entries(printables),
    shells,
  };
}

function kindOf({ placeholder }: Pick<Flag, "placeholder">): ValueKind {
  const kinds = new Map<string | null, ValueKind>([["FILE", "file"], ["DIR", "folder"]]);
  return placeholder === "BOOL" ? "truth" : kinds.get(placeholder) ?? "none";
}

/** The flags whose value is of a kind. */
export function namesOf(flags: readonly Flag[], kind: ValueKind): string[] {
  return flags.filter((flag) => flag.placeholder !== null && flag.kind === kind)
    .map(({ name }) => name);
}
