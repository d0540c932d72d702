/** A way to call the agent. */
export interface CommandText {
  /** What follows the name of the program; empty for the loop. */
  readonly usage: string;
  readonly summary: string;
}

/** A flag that is no configuration key. */
export interface OptionText {
  readonly flag: string;
  /** What stands for its value; null for a switch. */
  readonly placeholder: string | null;
  /** With which commands it goes; empty with all. */
  readonly commands: readonly string[];
  readonly summary: string;
}

/** A configuration key: a flag, a variable and a key of the ini file. */
export interface KeyText {
  readonly name: string;
  readonly variable: string;
  /** What stands for its value. */
  readonly placeholder: string;
  readonly summary: string;
  /** The default, in words. */
  readonly fallback: string;
  /** What a value may be; it completes "must be …". */
  readonly allowed: string;
}

/** Exit codes, with a word after each or not, and what they mean. */
export type CodeTable = readonly (readonly [code: string, meaning: string])[];

/** All that is told of the command line: what the help is made of. */
export interface CliSpec {
  readonly version: string;
  readonly commands: readonly CommandText[];
  readonly options: readonly OptionText[];
  readonly keys: readonly KeyText[];
  /** What `print` can print, and what it is. */
  readonly printables: Readonly<Record<string, string>>;
  /** What follows `print completion`. */
  readonly shells: readonly string[];
  /** Of a check: `--once`, `state` and `doctor`. */
  readonly checkCodes: CodeTable;
  /** Of `apply` and `teardown`. */
  readonly changeCodes: CodeTable;
}

/** The default as it could stand in an ini file; null when it is none, or told in words. */
export function literalDefault({ fallback }: KeyText): string | null {
  return /^(none|off)$| /.test(fallback) ? null : fallback;
}

/** An ini file with every key, each a comment; so it changes nothing as it is. */
export function config(keys: readonly KeyText[]): string {
  return `# /etc/decnet/decnet.ini, the configuration of decnet-agent. What is a comment has its default. The
# flag of a key (--master-host) wins over its variable (DECNET_MASTER_HOST), and that over this file.

[agent]
${keys.map(entry).join("")}`;
}

function entry(key: KeyText): string {
  const { name, placeholder, summary, fallback, allowed } = key;
  const literal = literalDefault(key);
  return `
# ${summary}
# must be ${allowed}
# default: ${fallback}
#${name} = ${literal ?? placeholder}
`;
}
