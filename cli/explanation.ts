import { quote } from "../doctor/mod.ts";
import { assemble, type Configuration, type Get, noHostUuid, valueOf } from "./configuration.ts";
import { type KeyName, keyNames, keys } from "./keys.ts";
import { inFolder, setCommand, type Setting } from "./set_command.ts";
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

/** The machine, and the service on it. */
export interface Circumstances extends Surroundings {
  /** Whether the service runs, which has to be told of what changes in a file. */
  readonly isServiceActive?: boolean;
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
  /** The same for several keys at once. */
  readonly commandToSetAll: (values: readonly Setting[]) => string;
  /** The line that calls the agent with these words, and with what was set by flags. */
  readonly lineOf: (...words: string[]) => string;
}

/** As `configure()`, but what is wrong is told and not thrown. */
export function explainConfiguration(
  flags: ReadonlyMap<KeyName, string>,
  configFile: string | null,
  surroundings: Circumstances,
): Explanation {
  const path = configFile ?? defaultFile;
  const reach = (command: string, key?: KeyName) =>
    surroundings.isServiceActive ? `${command} && ${noticeOf(key)}` : command;
  const problems: ConfigurationProblem[] = [];
  const add = (text: string, mend: string, isWarning = false) =>
    problems.push({ text, mend, isWarning });
  let find = sourceFinder(flags, surroundings, new Map());
  try {
    const sources = readSources(flags, configFile, surroundings);
    find = sources.find;
    for (const { text, line } of sources.warnings) add(text, reach(edit(path, line)), true);
  } catch (error) {
    const { message } = error as Error;
    const mend = mendOfFile(path, message, configFile !== null);
    add(message, mend.startsWith(startWithout) ? mend : reach(mend));
  }
  const get: Get = (name) => {
    const source = find(name);
    if (!source) return null;
    try {
      return valueOf(name, source);
    } catch (error) {
      const mend = mendOfValue(name, source);
      add((error as Error).message, source.origin.kind === "line" ? reach(mend, name) : mend);
      return null;
    }
  };
  const configuration = assemble(get, surroundings);
  const commandToSetAll = (values: readonly Setting[]) =>
    setCommand(values, { path, find, hasFile: surroundings.exists(path), reach });
  const commandToSet = (...setting: Setting) => commandToSetAll([setting]);
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
    commandToSetAll,
    lineOf: (...words) => ["decnet-agent", ...words, ...flagWords(flags, configFile)].join(" "),
  };
}

/** Without what is wrong: to leave that out is what mends it. */
function flagWords(flags: ReadonlyMap<KeyName, string>, configFile: string | null): string[] {
  const config = configFile === null ? [] : [`--config=${configFile}`];
  const right = [...flags].filter(([key, value]) => keys[key].parse(value) !== null);
  return [...config, ...right.map(([key, value]) => `--${key}=${value}`)].map(quote);
}

const startWithout = "start it without ";

/** What has the service take in what is new in its file. */
function noticeOf(key: KeyName | undefined): string {
  return `systemctl ${key === "state-dir" ? "restart" : "reload"} decnet-agent`;
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
    ? `${startWithout}--config: the default is ${defaultFile}`
    : `mv ${quote(path)} ${quote(`${path}.old`)}`;
}

function mendOfValue(name: KeyName, { origin }: Source): string {
  switch (origin.kind) {
    case "flag":
      return `${startWithout}${origin.flag}: the default is ${keys[name].fallback}`;
    case "variable":
      return `unset ${origin.variable}`;
    case "line":
      return edit(origin.path, origin.line);
  }
}
