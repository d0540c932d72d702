import { DoctorContext } from "../doctor/context.ts";
import { checks, examine, exitCodeOf, type Finding } from "../doctor/doctor.ts";
import { quote } from "../doctor/files.ts";
import { readService } from "../doctor/service_files.ts";
import { systemPaths } from "../host/files.ts";
import { sanitizeLine } from "../host/log.ts";
import type { Arguments } from "./args.ts";
import {
  assemble,
  ConfigFileError,
  type Configuration,
  type Get,
  noHostUuid,
  readSources,
  type Source,
  sourceFinder,
  type Sources,
  textOf,
  valueOf,
} from "./config.ts";
import { defaultText, versions } from "./help.ts";
import { type KeyName, keyNames, options } from "./options.ts";
import { type ExitCode, statusWords } from "./report.ts";
import { type Environment, isColoured, printJson, type Terminal } from "./terminal.ts";

/** A key, and the value that it shall have. */
export type Setting = readonly [key: KeyName, value: string];

/** Where values are set now. */
export interface Place {
  /** The ini file. */
  readonly path: string;
  readonly hasFile: boolean;
  readonly find: Sources["find"];
  /** Adds to a command that changes the file what makes a service read it. */
  readonly reach: (command: string) => string;
}

/** The command that gives keys other values, each where it is set now, or else in the ini file. */
export function setCommand(settings: readonly Setting[], { path, hasFile, find, reach }: Place) {
  const flags: string[] = [];
  const variables: string[] = [];
  const lines: string[] = [];
  const additions: string[] = [];
  for (const [key, value] of settings) {
    const origin = find(key)?.origin;
    const text = `${key} = ${value}`;
    if (origin?.kind === "flag") flags.push(quote(`--${key}=${value}`));
    else if (origin?.kind === "variable") variables.push(`${origin.variable}=${quote(value)}`);
    else if (origin) lines.push(`sed -i '${origin.line}s|.*|${text}|' ${quote(origin.path)}`);
    else additions.push(text);
  }
  // What is added moves the lines below it, so it comes last.
  const changes = [...lines, ...addCommands(path, additions, hasFile)].join(" && ");
  return [
    ...(variables.length > 0 ? [`export ${variables.join(" ")}`] : []),
    ...(changes === "" ? [] : [reach(changes)]),
    ...(flags.length > 0 ? [`start it with ${flags.join(" ")}`] : []),
  ].join(" && ");
}

function addCommands(path: string, additions: readonly string[], hasFile: boolean): string[] {
  if (additions.length === 0) return [];
  if (hasFile) return additions.map((text) => `sed -i '/^\\[agent\\]/a ${text}' ${quote(path)}`);
  const text = ["[agent]", ...additions, ""].join("\\n");
  return [`${inFolder(path)}printf '${text}' > ${quote(path)}`];
}

/** What makes the folder of a file; for the file to be written right behind it. */
export function inFolder(path: string): string {
  const folder = /^(.+)\/[^/]*$/.exec(path)?.[1];
  return folder === undefined ? "" : `mkdir -p ${quote(folder)} && `;
}

/** Something that is wrong with the configuration, and the command that mends it. */
export interface ConfigurationProblem {
  readonly text: string;
  readonly fix: string;
  /** Whether the other commands go on in spite of it. */
  readonly isWarning: boolean;
}

/** The machine, and the service on it. */
export interface DoctorEnvironment extends Environment {
  /** Whether the service runs, which has to be told of what changes in a file. */
  readonly isServiceActive?: boolean;
}

/** A configuration, with where each part comes from and what is wrong with it. */
export interface ConfigReport {
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
  environment: DoctorEnvironment,
): ConfigReport {
  const path = configFile ?? systemPaths.config;
  const reach = (command: string, key?: KeyName) =>
    environment.isServiceActive ? `${command} && ${noticeOf(key)}` : command;
  const problems: ConfigurationProblem[] = [];
  const add = (text: string, fix: string, isWarning = false) =>
    problems.push({ text, fix, isWarning });
  let find = sourceFinder(flags, environment, new Map());
  try {
    const sources = readSources(flags, configFile, environment);
    find = sources.find;
    for (const { text, line } of sources.warnings) add(text, reach(edit(path, line)), true);
  } catch (error) {
    if (!(error instanceof ConfigFileError)) throw error;
    const fix = mendOfFile(path, error, configFile !== null);
    add(error.message, fix.startsWith(startWithout) ? fix : reach(fix));
  }
  const get: Get = (name) => {
    const source = find(name);
    if (!source) return null;
    try {
      return valueOf(name, source);
    } catch (error) {
      const fix = mendOfValue(name, source);
      add((error as Error).message, source.origin.kind === "line" ? reach(fix, name) : fix);
      return null;
    }
  };
  const configuration = assemble(get, environment);
  const commandToSetAll = (values: readonly Setting[]) =>
    setCommand(values, { path, find, hasFile: environment.exists(path), reach });
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
  const right = [...flags].filter(([key, value]) => options[key].parse(value) !== null);
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

function mendOfFile(path: string, { reason, line }: ConfigFileError, isChosen: boolean): string {
  switch (reason) {
    case "malformed":
      return edit(path, line!);
    case "denied":
      return `chmod a+r ${quote(path)}`;
    case "absent":
      return `${inFolder(path)}decnet-agent print config > ${quote(path)}`;
    // Nothing is to be printed over a file that is there: it may be all that this host was told.
    case "no_section":
      return edit(path, 1);
    case "unreadable":
      return isChosen
        ? `${startWithout}--config: the default is ${systemPaths.config}`
        : `mv ${quote(path)} ${quote(`${path}.old`)}`;
  }
}

function mendOfValue(name: KeyName, { origin }: Source): string {
  switch (origin.kind) {
    case "flag":
      return `${startWithout}${origin.flag}: the default is ${defaultText(name)}`;
    case "variable":
      return `unset ${origin.variable}`;
    case "line":
      return edit(origin.path, origin.line);
  }
}

/** The width of the names of checks and of the words for their states. */
const nameWidth = 18;
const stateWidth = 9;

const colours = { ok: 32, skipped: 90, warning: 33, failed: 31 } as const;

/** A finding for people: a line for each thing that was seen, and the mend beneath. */
export function findingText({ check, result }: Finding, isColoured: boolean): string {
  const { state, details } = result;
  const padded = state.padEnd(stateWidth);
  const word = isColoured ? `\x1b[${colours[state]}m${padded}\x1b[0m` : padded;
  const head = check.name.padEnd(nameWidth);
  const indent = " ".repeat(nameWidth + stateWidth);
  const [first = "", ...others] = details.map(sanitizeLine);
  const lines = [`${head}${word}${first}`, ...others.map((line) => indent + line)];
  if ("fix" in result) lines.push(`${indent}→ ${sanitizeLine(result.fix)}`);
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}

/** All findings as an object for `--json`. */
export function doctorJson(findings: readonly Finding[], code: ExitCode) {
  return {
    status: statusWords[code],
    exit_code: code,
    checks: findings.map(({ check, result }) => ({
      name: check.name,
      state: result.state,
      details: result.details.map(sanitizeLine).join("; "),
      ...("fix" in result && { fix: sanitizeLine(result.fix) }),
    })),
  };
}

/** What waits longer than that is cut off: a little before the checks' own end. */
const lookTimeoutMs = 11_500;

/** `doctor`: looks for what is wrong on this host; the exit code is that of the worst. */
export async function doctor(
  { json, values, config }: Arguments,
  terminal: Terminal,
): Promise<ExitCode> {
  const { isActive } = await readService("");
  const { configuration, ...explanation } = explainConfiguration(values, config, {
    ...terminal,
    isServiceActive: isActive,
  });
  const context = new DoctorContext({
    ...explanation,
    agent: configuration.agent,
    listen: configuration.listen,
    textfile: configuration.textfile,
    intervalMs: configuration.intervalMs,
    versions: versions(),
    uid: Deno.uid() ?? 0,
    otherStateDirectories: usualStateDirectories(terminal),
    signal: AbortSignal.timeout(lookTimeoutMs),
  });
  const findings: Finding[] = [];
  const withColour = isColoured(terminal);
  for await (const finding of examine(context, checks)) {
    findings.push(finding);
    if (!json) terminal.stdout(findingText(finding, withColour));
  }
  const code = exitCodeOf(findings);
  if (json) printJson(terminal, doctorJson(findings, code));
  return code;
}

function usualStateDirectories({ variable }: Terminal): string[] {
  const homes = [variable("HOME"), "/root"].filter((home) => home !== undefined);
  const ofUser = [variable("XDG_STATE_HOME"), ...homes.map((home) => `${home}/.local/state`)];
  return [systemPaths.state as string].concat(
    [...new Set(ofUser)].flatMap((folder) =>
      folder?.startsWith("/") ? [`${folder}/decnet-agent`] : []
    ),
  );
}
