import { type ConfigReport, DoctorContext } from "../doctor/context.ts";
import { checks, examine, exitCodeOf, type Finding } from "../doctor/doctor.ts";
import { makeReport, type ReportPart, reportParts } from "../doctor/report.ts";
import { quote, quotePath } from "../doctor/system.ts";
import { readService } from "../doctor/unit.ts";
import { systemPaths } from "../host/files.ts";
import { sanitizeLine } from "../host/log.ts";
import type { Arguments } from "./args.ts";
import {
  type ConfigFileError,
  type ConfigProblem,
  nullDevice,
  readConfiguration,
  type Source,
} from "./config.ts";
import { defaultText, versions } from "./help.ts";
import { agentVersion, type KeyName, keyNames, options, variableOf } from "./options.ts";
import { type ExitCode, statusWords } from "./report.ts";
import { readState, stateText } from "./state.ts";
import { type Environment, isColoured, printJson, type Terminal } from "./terminal.ts";

/**
 * Reads the configuration like `configure()`, but collects the problems instead of throwing. Without
 * `program`, the path of the executable, the agent runs from source; an active service must reload.
 */
export function explainConfiguration(
  flags: ReadonlyMap<KeyName, string>,
  configFile: string | null,
  environment: Environment & { program?: string | undefined; isServiceActive?: boolean },
): ConfigReport {
  const path = configFile ?? systemPaths.config;
  const { program = "decnet-agent", isServiceActive = false } = environment;
  const fixes = new ConfigurationFixes(path, program, isServiceActive);
  const { configuration, problems, find } = readConfiguration(flags, configFile, environment);
  const settings = keyNames.flatMap((key) => {
    const source = find(key);
    return source ? [{ key, text: `${source.value} (${source.origin})` }] : [];
  });
  return {
    configuration,
    settings,
    problems: problems.map((problem) => ({
      text: problem.error.message,
      fix: fixes.of(problem, configFile !== null, find),
      isWarning: problem.kind === "unknown-key",
    })).sort((a, b) => Number(a.isWarning) - Number(b.isWarning)),
    variables: keyNames.map(variableOf),
    placeOf: (key) => fixes.placeOf(key, find(key)),
    defaultPort: options["swarmctl-port"].default!,
    program,
    lineOf: (...words) => [quotePath(program), ...words, ...flagWords(flags, configFile)].join(" "),
  };
}

/** Returns the given flags, quoted, without those that have wrong values. */
function flagWords(flags: ReadonlyMap<KeyName, string>, configFile: string | null): string[] {
  const right = [...flags].filter(([key, value]) => options[key].parse(value) !== null);
  const all = configFile === null ? right : [["config", configFile], ...right];
  return all.map(([key, value]) => quote(`--${key}=${value}`));
}

/** Returns sentences that say how to fix the configuration, whose file is at `path`. */
class ConfigurationFixes {
  constructor(
    readonly path: string,
    readonly program: string,
    readonly isServiceActive: boolean,
  ) {}

  /** Returns the end of a command that makes an active service read its file. */
  #notice(key?: KeyName): string {
    if (!this.isServiceActive) return "";
    return ` && systemctl ${key === "state-dir" ? "restart" : "reload"} decnet-agent`;
  }

  /** `find` as in `ConfigReading`. */
  of(problem: ConfigProblem, isChosen: boolean, find: (key: KeyName) => Source | null): string {
    switch (problem.kind) {
      case "unknown-key":
        return this.#editLine(problem.line);
      case "file":
        return this.#ofFile(problem.error, isChosen);
      case "value":
        return this.#ofValue(problem.key, problem.source);
      case "services":
        return `correct the file: vi ${quotePath(problem.path)}${this.#notice("services")}`;
      case "missing":
        return `${problem.fix} ${this.placeOf(problem.key, find(problem.key))}`;
    }
  }

  #editLine(line: number, key?: KeyName): string {
    return `correct the line: vi +${line} ${quotePath(this.path)}${this.#notice(key)}`;
  }

  placeOf(key: KeyName, source: Source | null): string {
    if (source && source.kind !== "line") return `(set by ${source.origin})`;
    if (this.path === nullDevice) return `(with --${key})`;
    const place = source ? `set in ${source.origin}` : `in section [agent] of ${this.path}`;
    const notice = this.#notice(key).replace(" && ", ", then: ");
    return `(${place})${notice}`;
  }

  #ofFile({ reason, line }: ConfigFileError, isChosen: boolean): string {
    const file = quotePath(this.path);
    switch (reason) {
      case "malformed":
        return this.#editLine(line ?? 1);
      case "denied":
        return `let every user read it: chmod a+r ${file}${this.#notice()}`;
      case "absent":
        return `create it: ${createFolder(this.path)}${quotePath(this.program)} print config > ` +
          file + this.#notice();
      case "no-section":
        // Never overwrites an existing file: it may be the only configuration of this host.
        return `add the section [agent]: vi +1 ${file}${this.#notice()}`;
      case "unreadable":
        return isChosen
          ? `start the agent without --config; the default is ${systemPaths.config}`
          : `move it away: mv ${file} ${quotePath(`${this.path}.old`)}${this.#notice()}`;
    }
  }

  #ofValue(name: KeyName, { kind, origin, line }: Source): string {
    if (line !== null) return this.#editLine(line, name);
    if (kind === "variable") return `remove the variable: unset ${origin.replace("$", "")}`;
    return `start the agent without ${origin}; the default is ${defaultText(name)}`;
  }
}

function createFolder(path: string): string {
  const folder = /^(.+)\/[^/]*$/.exec(path)?.[1];
  return folder === undefined ? "" : `mkdir -p ${quotePath(folder)} && `;
}

/** Column widths of the check's name and its state. */
const nameWidth = 18;
const stateWidth = 9;

const colours = { ok: 32, skipped: 90, warning: 33, failed: 31 } as const;

/** Formats a finding as text: one line for each detail, then the fix. */
export function findingText({ check, result }: Finding, isColoured: boolean): string {
  const { state, details } = result;
  const padded = state.padEnd(stateWidth);
  const word = isColoured ? `\x1b[${colours[state]}m${padded}\x1b[0m` : padded;
  const head = check.name.padEnd(nameWidth);
  const indent = " ".repeat(nameWidth + stateWidth);
  const [first = "", ...others] = details.map(sanitizeLine);
  const lines = [`${head}${word}${first}`, ...others.map((line) => indent + line)];
  if (result.fix !== null) lines.push(`${indent}→ ${sanitizeLine(result.fix)}`);
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}

/** Returns all findings as the object for `--json`. */
export function doctorJson(findings: readonly Finding[], code: ExitCode) {
  return {
    status: statusWords[code],
    exit_code: code,
    checks: findings.map(({ check, result }) => ({
      name: check.name,
      state: result.state,
      details: result.details.map(sanitizeLine).join("; "),
      ...(result.fix !== null && { fix: sanitizeLine(result.fix) }),
    })),
  };
}

/** Aborts waiting probes shortly before the time limit of the checks, in milliseconds. */
const lookTimeoutMs = 11_500;

/** Runs `decnet-agent doctor`. Returns the exit code of the worst finding. */
export async function doctor(
  { values, config }: Pick<Arguments, "values" | "config">,
  { report, json }: { readonly report: boolean; readonly json: boolean },
  terminal: Terminal,
): Promise<ExitCode> {
  const service = readService("");
  const program = Deno.build.standalone ? terminal.executable() : undefined;
  const environment = { ...terminal, program, isServiceActive: service.isActive };
  const context = new DoctorContext({
    config: explainConfiguration(values, config, environment),
    versions: versions(),
    uid: Deno.uid() ?? 0,
    service,
    otherStateDirectories: usualStateDirectories(terminal),
    signal: AbortSignal.timeout(lookTimeoutMs),
  });
  if (report) return await printReport(context, terminal);
  const findings: Finding[] = [];
  for await (const finding of examine(context, checks)) {
    findings.push(finding);
    if (!json) terminal.stdout(findingText(finding, isColoured(terminal)));
  }
  const code = exitCodeOf(findings);
  if (json) printJson(terminal, doctorJson(findings, code));
  return code;
}

/** Prints all that a report of a fault needs, as one text. Returns the exit code of the doctor. */
async function printReport(context: DoctorContext, terminal: Terminal): Promise<ExitCode> {
  const findings: Finding[] = [];
  const parts: readonly ReportPart[] = [
    { heading: "doctor", lines: () => doctorLines(context, findings) },
    { heading: "state", lines: () => stateLines(context) },
    { heading: "configuration", lines: () => configurationLines(context) },
    ...reportParts,
  ];
  terminal.stdout(`Report of decnet-agent, made at ${new Date().toISOString()}\n`);
  for await (const text of makeReport(context, parts)) terminal.stdout(text);
  return exitCodeOf(findings);
}

async function doctorLines(context: DoctorContext, findings: Finding[]): Promise<string[]> {
  for await (const finding of examine(context, checks)) findings.push(finding);
  return findings.flatMap((it) => findingText(it, false).trimEnd().split("\n"));
}

/** Returns what `state` prints, without the topology's plan: a report holds no document. */
async function stateLines({ config: { configuration } }: DoctorContext): Promise<string[]> {
  const { agent, logs } = configuration;
  const state = await readState({ agent: { ...agent, agentVersion }, logs });
  return stateText(state, null, false).trimEnd().split("\n");
}

function configurationLines({ config: { settings } }: DoctorContext): string[] {
  const texts = new Map(settings.map(({ key, text }) => [key, text]));
  return keyNames.map((key) => `${key} = ${texts.get(key) ?? `${defaultText(key)} (default)`}`);
}

function usualStateDirectories({ variable }: Terminal): string[] {
  const ofUsers = [variable("HOME"), "/root"].map((home) => `${home}/.local/state`);
  const folders = [variable("XDG_STATE_HOME"), ...ofUsers].filter((it) => it?.startsWith("/"));
  return [...new Set([systemPaths.state, ...folders.map((folder) => `${folder}/decnet-agent`)])];
}
