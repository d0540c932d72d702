import { UsageError } from "./arguments.ts";
import { type IniEntry, readSection } from "./ini.ts";
import { type KeyName, keyNames, variableOf } from "./keys.ts";

/** The ini file that is read unless `--config` names another. */
export const defaultFile = "/etc/decnet/decnet.ini";
const section = "agent";

/** The machine as far as the defaults depend on it. */
export interface Surroundings {
  /** The value of an environment variable. */
  readonly variable: (name: string) => string | undefined;
  /** The content of a file, or null when it does not exist. */
  readonly readFile: (path: string) => string | null;
  readonly exists: (path: string) => boolean;
  readonly isRoot: boolean;
}

/** Where a value comes from. */
export type Origin =
  | { readonly kind: "flag"; readonly flag: string }
  | { readonly kind: "variable"; readonly variable: string }
  | { readonly kind: "line"; readonly path: string; readonly line: number };

/** A value as it was given, and by what. */
export interface Source {
  readonly value: string;
  readonly origin: Origin;
}

/** A line of the ini file that sets nothing. */
export interface IniWarning {
  readonly text: string;
  readonly line: number;
}

/** All that is set, valid or not. */
export interface Sources {
  /** What counts for a key, or null where it is not set. */
  readonly find: (name: KeyName) => Source | null;
  readonly warnings: readonly IniWarning[];
}

/** An origin, for messages. */
export function textOf(origin: Origin): string {
  switch (origin.kind) {
    case "flag":
      return origin.flag;
    case "variable":
      return `$${origin.variable}`;
    case "line":
      return `${origin.path} line ${origin.line}`;
  }
}

/**
 * Finds what flags, variables and the ini file set; the first of them counts. Throws `UsageError` when
 * the ini file cannot be read.
 */
export function readSources(
  flags: ReadonlyMap<KeyName, string>,
  configFile: string | null,
  surroundings: Surroundings,
): Sources {
  const warnings: IniWarning[] = [];
  const ini = readIni(configFile, surroundings, warnings);
  return { find: sourceFinder(flags, surroundings, ini), warnings };
}

/** Tells for each key what sets it: a flag, a variable, or what is in `ini`. */
export function sourceFinder(
  flags: ReadonlyMap<KeyName, string>,
  surroundings: Surroundings,
  ini: ReadonlyMap<KeyName, Source>,
): Sources["find"] {
  return (name) =>
    flagSource(flags, name) ?? variableSource(surroundings, variableOf(name)) ?? ini.get(name) ??
      (name === "docker-host" ? variableSource(surroundings, "DOCKER_HOST") : null);
}

function flagSource(flags: ReadonlyMap<KeyName, string>, name: KeyName): Source | null {
  const value = flags.get(name);
  return value === undefined ? null : { value, origin: { kind: "flag", flag: `--${name}` } };
}

/** An empty variable counts as unset, as in a unit file that lists what can be set. */
function variableSource({ variable }: Surroundings, name: string): Source | null {
  const value = variable(name);
  return value ? { value, origin: { kind: "variable", variable: name } } : null;
}

function readIni(
  configFile: string | null,
  { readFile }: Surroundings,
  warnings: IniWarning[],
): Map<KeyName, Source> {
  const path = configFile ?? defaultFile;
  const sources = new Map<KeyName, Source>();
  for (const { key, value, line } of readEntries(path, readFile, configFile !== null)) {
    const name = keyNames.find((name) => name === key);
    if (name === undefined) {
      warnings.push({ text: `${path} line ${line}: unknown key '${key}' is ignored`, line });
    } else if (value !== "") sources.set(name, { value, origin: { kind: "line", path, line } });
  }
  return sources;
}

function readEntries(
  path: string,
  readFile: Surroundings["readFile"],
  isRequired: boolean,
): IniEntry[] {
  try {
    const text = readFile(path);
    if (text === null && isRequired) throw new Error("no such file");
    const entries = readSection(text ?? "", section);
    if (entries === null && isRequired) throw new Error(`no section [${section}] in it`);
    return entries ?? [];
  } catch (cause) {
    throw new UsageError(`Cannot read ${path}: ${explain(cause)}`, { cause });
  }
}

function explain(error: unknown): string {
  if (error instanceof Deno.errors.PermissionDenied) {
    return "permission denied; let the agent's user read it";
  }
  return (error as Error).message;
}
