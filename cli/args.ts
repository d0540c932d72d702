import { commandUsages, type PrintableFile, printables, type Shell, shells } from "./help.ts";
import { type KeyName, keyNames } from "./options.ts";

/** What the agent can be asked to do. */
export type Command =
  | { readonly name: "loop" }
  | { readonly name: "once"; readonly dryRun: boolean; readonly quiet: boolean }
  | { readonly name: "state" }
  | { readonly name: "hash"; readonly file: string }
  | {
    readonly name: "apply";
    /** Null for what the store holds. */
    readonly file: string | null;
    /** The version hash that the document must have, or null. */
    readonly hash: string | null;
    readonly dryRun: boolean;
    readonly noWait: boolean;
  }
  | { readonly name: "teardown"; readonly topologyId: string; readonly noWait: boolean }
  | { readonly name: "doctor" }
  | {
    readonly name: "print";
    readonly what: PrintableFile;
    /** Null but for completions. */
    readonly shell: Shell | null;
  }
  | { readonly name: "version" }
  | {
    readonly name: "help";
    /** The first word of the command that is asked about; null for all of them. */
    readonly about: string | null;
  };

/** A command line, taken apart. */
export interface Arguments {
  readonly command: Command;
  readonly json: boolean;
  /** Another ini file than the default. */
  readonly config: string | null;
  /** Values of configuration keys, as they were given. */
  readonly values: ReadonlyMap<KeyName, string>;
}

/** The command line, the environment or the ini file says something that cannot be. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const switches = [
  "once",
  "json",
  "quiet",
  "dry-run",
  "no-wait",
  "stored",
  "version",
  "help",
] as const;
type Switch = (typeof switches)[number];

/** Takes a command line apart. Throws `UsageError` for anything that it does not know. */
export function parseArguments(args: readonly string[]): Arguments {
  const on = new Set<Switch>();
  const values = new Map<KeyName, string>();
  const operands: string[] = [];
  const options = new Map<"config" | "hash", string>();
  for (let index = 0; index < args.length; index++) {
    const [, name, inline] = /^--([^=]+)(?:=(.*))?$/s.exec(expand(args[index]!)) ?? [];
    if (name === undefined) {
      operands.push(args[index]!);
    } else if (isOneOf(switches, name)) {
      if (inline !== undefined) throw new UsageError(`--${name} takes no value`);
      on.add(name);
    } else {
      const isOption = name === "config" || name === "hash";
      if (!isOption && !isOneOf(keyNames, name)) {
        throw new UsageError(`--${name} is not a flag; --help lists them`);
      }
      const value = inline ?? args[++index];
      const isMissing = value === undefined || value === "" ||
        (inline === undefined && value.startsWith("--"));
      if (isMissing) throw new UsageError(`--${name} needs a value`);
      if (isOption) options.set(name, value);
      else values.set(name, value);
    }
  }
  const hash = options.get("hash") ?? null;
  return {
    command: chooseCommand(operands, on, hash),
    json: on.has("json"),
    config: options.get("config") ?? null,
    values,
  };
}

function chooseCommand(
  [first, ...rest]: readonly string[],
  on: ReadonlySet<Switch>,
  hash: string | null,
): Command {
  if (on.has("help")) return { name: "help", about: chooseHelp(on.has("once") ? "--once" : first) };
  if (on.has("version")) return { name: "version" };
  const dryRun = on.has("dry-run");
  const noWait = on.has("no-wait");
  if (dryRun && !on.has("once") && first !== "apply") {
    throw new UsageError("--dry-run goes with --once and apply");
  }
  if (noWait && first !== "apply" && first !== "teardown") {
    throw new UsageError("--no-wait goes with apply and teardown");
  }
  if (hash !== null && first !== "apply") throw new UsageError("--hash goes with apply");
  const isStored = on.has("stored");
  if (isStored && first !== "apply") throw new UsageError("--stored goes with apply");
  if (hash !== null && !/^[0-9a-f]{64}$/.test(hash)) {
    throw new UsageError(`--hash: '${hash}' must be 64 hex digits in lower case`);
  }
  if (on.has("once") && first !== undefined) {
    throw new UsageError(`--once is a command of its own; it does not go with '${first}'`);
  }
  const quiet = on.has("quiet");
  if (quiet && !on.has("once")) throw new UsageError("--quiet goes with --once");
  if (quiet && on.has("json")) throw new UsageError("--quiet does not go with --json");
  if (on.has("once")) return { name: "once", dryRun, quiet };
  if (on.has("json") && (first === undefined || first === "print")) {
    throw new UsageError(
      "--json goes with --once, state, doctor, apply, teardown, hash and --version",
    );
  }
  switch (first) {
    case undefined:
      return { name: "loop" };
    case "state":
      if (rest.length > 0) throw new UsageError("state takes no operand");
      return { name: "state" };
    case "doctor":
      if (rest.length > 0) throw new UsageError("doctor takes no operand");
      return { name: "doctor" };
    case "print":
      return choosePrintable(rest);
    case "hash":
      if (rest.length !== 1) throw new UsageError("hash takes one file, or - for standard input");
      return { name: "hash", file: rest[0]! };
    case "apply":
      if (rest.length !== (isStored ? 0 : 1)) {
        throw new UsageError("apply takes one file, or - for standard input, or --stored instead");
      }
      return { name: "apply", file: rest[0] ?? null, hash, dryRun, noWait };
    case "teardown":
      if (rest.length !== 1) throw new UsageError("teardown takes the id of one topology");
      return { name: "teardown", topologyId: rest[0]!, noWait };
    default:
      throw new UsageError(
        `'${first}' is not a ${/^-./.test(first) ? "flag" : "command"}; --help lists them`,
      );
  }
}

/** Whoever asks about what there is not is told of all that there is. */
function chooseHelp(first: string | undefined): string | null {
  const names = commandUsages.map(({ usage }) => usage.split(" ")[0]);
  return first && names.includes(first) ? first : null;
}

function choosePrintable([what = "", shell, ...rest]: readonly string[]): Command {
  const whats = Object.keys(printables) as PrintableFile[];
  if (!isOneOf(whats, what)) throw new UsageError(`print takes one of ${whats.join(", ")}`);
  if (what !== "completion") {
    if (shell !== undefined) throw new UsageError(`print ${what} takes no more`);
    return { name: "print", what, shell: null };
  }
  if (shell === undefined || !isOneOf(shells, shell) || rest.length > 0) {
    throw new UsageError(`print completion takes one of ${shells.join(", ")}`);
  }
  return { name: "print", what, shell };
}

function expand(argument: string): string {
  return argument === "-h" ? "--help" : argument;
}

function isOneOf<T extends string>(list: readonly T[], text: string): text is T {
  return (list as readonly string[]).includes(text);
}
