/** A way to call the agent. */
export interface CommandText {
  /** The first word after the program's name; empty for the service. */
  readonly name: string;
  /** The name with its operand. */
  readonly usage: string;
  readonly summary: string;
}

/** A flag that is not a configuration key. */
export interface FlagText {
  readonly flag: string;
  /** The name of its value; null for a switch. */
  readonly placeholder: string | null;
  /** The commands that it goes with; empty for all. */
  readonly commands: readonly string[];
}

/** A configuration key: a flag, a variable and a key of the ini file. */
export interface KeyText {
  readonly name: string;
  readonly variable: string;
  /** The name of its value. */
  readonly placeholder: string;
  readonly summary: string;
  /** The default, where it is a fixed value. */
  readonly value: string | null;
  /** The default in words, where it is not. */
  readonly fallback?: string | undefined;
  /** The values that are allowed; completes "must be …". */
  readonly allowed: string;
}

/** An ini file in which each key is a comment. `path` is where the agent reads it. */
export function config(keys: readonly KeyText[], path: string): string {
  return `# ${path}: configuration of decnet-agent.
# Keys that are commented out have their default value. Precedence: flag (--master-host),
# environment (DECNET_MASTER_HOST), this file, default.

[agent]
${keys.map(entry).join("")}`;
}

function entry({ name, placeholder, summary, value, fallback, allowed }: KeyText): string {
  return `
# ${summary}
# must be ${allowed}
# default: ${value ?? fallback}
#${name} = ${value ?? placeholder}
`;
}
