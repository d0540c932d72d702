import { type Configuration, configure, type Surroundings } from "../cli/mod.ts";
import type { KeyName } from "../cli/keys.ts";

/** A machine as far as the configuration looks at it. */
export interface Machine {
  readonly flags?: Record<string, string>;
  readonly variables?: Record<string, string>;
  /** The text of the ini file; null when there is none. */
  readonly ini?: string | null;
  readonly config?: string | null;
  readonly existing?: readonly string[];
  readonly isRoot?: boolean;
}

/** The configuration of that machine. Throws what `configure` throws. */
export function configureOn(machine: Machine): Configuration {
  const { flags = {}, variables = {}, ini = null, config = null, existing = [], isRoot = true } =
    machine;
  const surroundings: Surroundings = {
    variable: (name) => variables[name],
    readFile: (path) => path === (config ?? "/etc/decnet/decnet.ini") ? ini : null,
    exists: (path) => existing.includes(path),
    isRoot,
  };
  return configure(new Map(Object.entries(flags) as [KeyName, string][]), config, surroundings);
}

/** The text of an ini file with these lines for the agent. */
export function section(...lines: string[]): string {
  return ["[agent]", ...lines].join("\n");
}
