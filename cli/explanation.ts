import { quote } from "../doctor/mod.ts";
import { assemble, type Configuration, type Get, noHostUuid, valueOf } from "./configuration.ts";
import { type KeyName, keyNames, keys } from "./keys.ts";
import {
  defaultFile,
  readSources,
  type Source,
  sourceFinder,
  type Surroundings,
  textOf,
} from "./sources.ts";

/** Something that is wrong with the configuration, and the command that mends it. */
export interface ConfigurationProblem {
  readonly text: string;
  readonly mend: string;
  /** Whether the other commands go on in spite of it. */
  readonly isWarning: boolean;
}

/** A configuration, with where each part comes from and what is wrong with it. */
export interface Explanation {
  /** What is wrong in it is replaced by defaults. */
  readonly configuration: Configuration;
  /** Each key that is set: its value as it was given, and by what. */
  readonly settings: readonly { readonly key: string; readonly text: string }[];
  readonly problems: readonly ConfigurationProblem[];
  /** The command that gives a key another value. */
  readonly commandToSet: (key: KeyName, value: string) => string;
  /** The line that calls the agent with these words, and with what was set by flags. */
  readonly lineOf: (...words: string[]) => string;
}

/** As `configure()`, but what is wrong is told and not thrown. */
export function explainConfiguration(
  flags: ReadonlyMap<KeyName, string>,
  configFile: string | null,
  surroundings: Surroundings,
): Explanation {
  const path = configFile ?? defaultFile;
  const problems: ConfigurationProblem[] = [];
  const add = (text: string, mend: string, isWarning = false) =>
    problems.push({ text, mend, isWarning });
  let find = sourceFinder(flags, surroundings, new Map());
  try {
    const sources = readSources(flags, configFile, surroundings);
    find = sources.find;
    for (const { text, line } of sources.warnings) add(text, edit(path, line), true);
  } catch (error) {
    const { message } = error as Error;
    add(message, mendOfFile(path, message, configFile !== null));
  }
  const get: Get = (name) => {
    const source = find(name);
    if (!source) return null;
    try {
      return valueOf(name, source);
    } catch (error) {
      add((error as Error).message, mendOfValue(name, source));
      return null;
    }
  };
  const configuration = assemble(get, surroundings);
  const commandToSet = (key: KeyName, value: string) =>
    setCommand(key, value, { path, source: find(key), surroundings });
  if (configuration.agent.master !== null && find("host-uuid") === null) {
    add(noHostUuid, commandToSet("host-uuid", "UUID"));
  }
  problems.sort((a, b) => Number(a.isWarning) - Number(b.isWarning));
  const settings = keyNames.flatMap((key) => {
    const source = find(key);
    return source ? [{ key, text: `${source.value} (${textOf(source.origin)})` }] : [];
  });
  return {
    configuration: { ...configuration, warnings: [] },
    settings,
    problems,
    commandToSet,
    lineOf: (...words) => ["decnet-agent", ...words, ...flagWords(flags, configFile)].join(" "),
  };
}

/** Without what is wrong: to leave that out is what mends it. */
function flagWords(flags: ReadonlyMap<KeyName, string>, configFile: string | null): string[] {
  const config = configFile === null ? [] : [`--config=${configFile}`];
  const right = [...flags].filter(([key, value]) => keys[key].parse(value) !== null);
  return [...config, ...right.map(([key, value]) => `--${key}=${value}`)].map(quote);
}

function edit(path: string, line: number): string {
  return `vi +${line} ${quote(path)}`;
}

function mendOfFile(path: string, message: string, isChosen: boolean): string {
  const line = /: line (\d+) /.exec(message)?.[1];
  if (line !== undefined) return edit(path, Number(line));
  if (/permission denied/i.test(message)) return `chmod a+r ${quote(path)}`;
  if (message.endsWith(": no such file")) {
    return `${inFolder(path)}decnet-agent print config > ${quote(path)}`;
  }
  // Nothing is to be printed over a file that is there: it may be all that this host was told.
  if (message.includes(": no section ")) return edit(path, 1);
  return isChosen
    ? `start it without --config: the default is ${defaultFile}`
    : `mv ${quote(path)} ${quote(`${path}.old`)}`;
}

/** What makes the folder of a file; for the file to be written right behind it. */
function inFolder(path: string): string {
  const folder = /^(.+)\/[^/]*$/.exec(path)?.[1];
  return folder === undefined ? "" : `mkdir -p ${quote(folder)} && `;
}

function mendOfValue(name: KeyName, { origin }: Source): string {
  switch (origin.kind) {
    case "flag":
      return `start it without ${origin.flag}: the default is ${keys[name].fallback}`;
    case "variable":
      return `unset ${origin.variable}`;
    case "line":
      return edit(origin.path, origin.line);
  }
}

function setCommand(
  key: KeyName,
  value: string,
  { path, source, surroundings }: {
    path: string;
    source: Source | null;
    surroundings: Surroundings;
  },
): string {
  const text = `${key} = ${value}`;
  switch (source?.origin.kind) {
    case "flag":
      return `start it with --${key}=${value}`;
    case "variable":
      return `export ${source.origin.variable}=${value}`;
    case "line":
      return `sed -i '${source.origin.line}s|.*|${text}|' ${quote(source.origin.path)}`;
  }
  return surroundings.exists(path)
    ? `sed -i '/^\\[agent\\]/a ${text}' ${quote(path)}`
    : `${inFolder(path)}printf '[agent]\\n${text}\\n' > ${quote(path)}`;
}
