import { type KeyName, keyNames } from "./options.ts";

/** The commands with their operand, in brackets where it is optional; an empty text: they have none. */
export const operandOf = {
  "run": "",
  "--once": "",
  "state": "",
  "doctor": "",
  "apply": "FILE|-",
  "teardown": "ID",
  "hash": "FILE|-",
  "images": "FILE|-",
  "print": "WHAT",
  "help": "[COMMAND]",
  "version": "",
} as const;

/** A command that has its own help text. Without a command, the agent runs as with `run`. */
export type CommandName = keyof typeof operandOf;

const commandNames = Object.keys(operandOf) as CommandName[];

/** The files that `print` can print. */
export const printables = [
  "systemd-service",
  "systemd-check-service",
  "systemd-check-timer",
  "cron",
  "config",
  "man",
  "completion",
  "install",
  "uninstall",
] as const;

/** A file that `print` can print. */
export type PrintableFile = (typeof printables)[number];

/** The flags that are not configuration keys, each with its commands; an empty list means all. */
export const flagCommands = {
  "json": ["--once", "state", "doctor", "apply", "teardown", "hash", "images", "version"],
  "quiet": ["--once"],
  "dry-run": ["--once", "apply"],
  "stored": ["apply", "images"],
  "missing": ["images"],
  "report": ["doctor"],
  "hash": ["apply"],
  "no-wait": ["apply", "teardown"],
  "config": [],
  "version": [],
  "help": [],
} as const;

/** A flag that is not a configuration key. */
export type FlagName = keyof typeof flagCommands;

const flagNames = Object.keys(flagCommands) as FlagName[];
const valueFlags = ["config", "hash"] as const;
const shortFlags: ReadonlyMap<string, string> = new Map([["-h", "--help"], ["-V", "--version"]]);

/** A command with its own flags and operands. */
export type Command =
  /** `isNamed` is false for a command line without a command. */
  | { readonly name: "run"; readonly isNamed: boolean }
  | { readonly name: "once"; readonly dryRun: boolean; readonly quiet: boolean }
  | { readonly name: "state" }
  | { readonly name: "hash"; readonly file: string }
  | {
    readonly name: "apply";
    /** Null for the document in the store. */
    readonly file: string | null;
    /** The version hash that the document must have, or null. */
    readonly hash: string | null;
    readonly dryRun: boolean;
    readonly noWait: boolean;
  }
  | { readonly name: "teardown"; readonly topologyId: string; readonly noWait: boolean }
  /** `file` is null for the document in the store. */
  | { readonly name: "images"; readonly file: string | null; readonly missing: boolean }
  | { readonly name: "doctor"; readonly report: boolean }
  | { readonly name: "print"; readonly what: PrintableFile }
  | { readonly name: "version" }
  /** `about` is null for the help of all commands. */
  | { readonly name: "help"; readonly about: CommandName | null };

/** A parsed command line. */
export interface Arguments {
  readonly command: Command;
  readonly json: boolean;
  /** The ini file, where it is not the default. */
  readonly config: string | null;
  /** Values of configuration keys, as they were given. */
  readonly values: ReadonlyMap<KeyName, string>;
}

/** A command as it is run. */
export type CommandOf<Name extends Command["name"]> =
  & Extract<Command, { name: Name }>
  & Pick<Arguments, "json">;

/** The command line, the environment or the ini file cannot be used. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The value of a switch is empty. */
type GivenFlags = ReadonlyMap<FlagName | "once", string>;

/** Parses a command line. Throws `UsageError`. */
export function parseArguments(args: readonly string[]): Arguments {
  const flags = new Map<FlagName | "once", string>();
  const values = new Map<KeyName, string>();
  const operands: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const argument = shortFlags.get(args[index]!) ?? args[index]!;
    const [, name, inline] = /^--([^=]+)(?:=(.*))?$/s.exec(argument) ?? [];
    if (name === undefined) {
      operands.push(argument);
    } else if (isOneOf(valueFlags, name) || isOneOf(keyNames, name)) {
      const value = inline ?? args[++index] ?? "";
      if (value === "" || (inline === undefined && value.startsWith("--"))) {
        throw new UsageError(`--${name} needs a value`);
      }
      if (isOneOf(valueFlags, name)) flags.set(name, value);
      else values.set(name, value);
    } else if (name === "once" || isOneOf(flagNames, name)) {
      if (inline !== undefined) throw new UsageError(`--${name} takes no value`);
      flags.set(name, "");
    } else throw unknownWord(`--${name}`, "flag");
  }
  return {
    command: chooseCommand(operands, flags),
    json: flags.has("json"),
    config: flags.get("config") ?? null,
    values,
  };
}

function chooseCommand([first, ...operands]: readonly string[], flags: GivenFlags): Command {
  const isOnce = flags.has("once");
  if (flags.has("help") || (isOnce && first === "help")) {
    const topic = isOnce ? "--once" : first;
    return { name: "help", about: isOneOf(commandNames, topic) ? topic : null };
  }
  if (flags.has("version")) return { name: "version" };
  if (first !== undefined && !isOneOf(commandNames, first)) {
    throw unknownWord(first, first.startsWith("-") ? "flag" : "command");
  }
  if (isOnce && first !== undefined) {
    throw new UsageError(`--once is a command; it cannot be combined with '${first}'`);
  }
  const name = isOnce ? "--once" : first;
  checkFlags(name ?? "run", flags);
  return name === undefined
    ? { name: "run", isNamed: false }
    : parseOperands(name, operands, flags);
}

function unknownWord(word: string, kind: "flag" | "command"): UsageError {
  const known = [...commandNames, ...[...flagNames, ...keyNames].map((name) => `--${name}`)];
  const advice = isOneOf(printables, word) ? `print ${word}` : closest(word, known);
  const question = advice === null ? "" : ` Did you mean ${advice}?`;
  return new UsageError(`'${word}' is not a ${kind}; --help lists them.${question}`);
}

/** Returns the known word that `word` is probably a misspelling of, or null; ignores dashes before it. */
export function closest(word: string, known: readonly string[]): string | null {
  const bare = (text: string) => text.replace(/^-+/, "");
  const length = bare(word).length;
  const limit = Math.max(1, Math.floor(length / 3));
  const distances = known.map(bare).map((it) =>
    Math.abs(it.length - length) > limit ? Infinity : editDistance(bare(word), it)
  );
  const least = Math.min(...distances);
  return least > limit ? null : known[distances.indexOf(least)]!;
}

/** Counts the characters to insert, remove, replace or swap that make `b` of `a`. */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, index) => index)];
  for (let i = 1; i <= a.length; i++) {
    const row = rows[i] = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwap ? rows[i - 2]![j - 2]! + 1 : Infinity;
      row.push(Math.min(replaced, swapped, rows[i - 1]![j]! + 1, row[j - 1]! + 1));
    }
  }
  return rows[a.length]![b.length]!;
}

function checkFlags(command: CommandName, flags: GivenFlags): void {
  for (const name of flagNames.filter((name) => flags.has(name))) {
    const commands: readonly string[] = flagCommands[name];
    if (commands.length > 0 && !isOneOf(commands, command)) {
      const list = commands.join(", ").replace(/, (?=[^,]*$)/, " and ");
      throw new UsageError(`--${name} can only be used with ${list}`);
    }
  }
  const hash = flags.get("hash");
  if (hash !== undefined && !/^[0-9a-f]{64}$/.test(hash)) {
    throw new UsageError(`--hash: '${hash}' must be 64 hex digits in lower case`);
  }
  for (const name of ["quiet", "report"] as const) {
    if (flags.has(name) && flags.has("json")) {
      throw new UsageError(`--${name} cannot be combined with --json`);
    }
  }
}

/** Throws `UsageError` unless the command has its operand, and no other one. */
function checkOperands(name: CommandName, count: number, isStored: boolean): void {
  const operand = operandOf[name];
  const most = operand === "" || isStored ? 0 : 1;
  const least = operand.startsWith("[") ? 0 : most;
  if (count >= least && count <= most) return;
  const instead = isOneOf(flagCommands.stored, name) ? ", or --stored instead" : "";
  const what = operand === "" ? "no operand" : `one operand, ${operand}${instead}`;
  throw new UsageError(`${name} takes ${what}`);
}

function parseOperands(name: CommandName, operands: readonly string[], flags: GivenFlags): Command {
  if (name === "print") return parsePrint(operands);
  checkOperands(name, operands.length, flags.has("stored"));
  const [operand = ""] = operands;
  const file = flags.has("stored") ? null : operand;
  const dryRun = flags.has("dry-run");
  const noWait = flags.has("no-wait");
  switch (name) {
    case "run":
      return { name, isNamed: true };
    case "help":
      if (operand === "") return { name, about: null };
      if (!isOneOf(commandNames, operand)) throw unknownWord(operand, "command");
      return { name, about: operand };
    case "--once":
      return { name: "once", dryRun, quiet: flags.has("quiet") };
    case "state":
    case "version":
      return { name };
    case "doctor":
      return { name, report: flags.has("report") };
    case "hash":
      return { name, file: operand };
    case "teardown":
      return { name, topologyId: operand, noWait };
    case "images":
      return { name, file, missing: flags.has("missing") };
    case "apply":
      return { name, file, hash: flags.get("hash") ?? null, dryRun, noWait };
  }
}

function parsePrint([what, ...rest]: readonly string[]): Command {
  if (!isOneOf(printables, what)) {
    throw new UsageError(`print takes one of ${printables.join(", ")}`);
  }
  const isShell = what === "completion";
  if (rest.join(" ") === (isShell ? "bash" : "")) return { name: "print", what };
  const expected = isShell ? "bash; other shells are not supported" : "no operand";
  throw new UsageError(`print ${what} takes ${expected}`);
}

function isOneOf<T extends string>(list: readonly T[], text: string | undefined): text is T {
  return (list as readonly (string | undefined)[]).includes(text);
}
