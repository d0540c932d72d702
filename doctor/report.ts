import { Engine } from "../docker/engine.ts";
import { findSocket } from "../docker/observe.ts";
import { sanitizeLine, timeOf } from "../host/log.ts";
import { listQuarantined } from "../store/file.ts";
import { describeRefusedPush, readRefusedPush } from "../store/history.ts";
import { readProblems } from "../store/problems.ts";
import { certificateLines } from "./certificates.ts";
import type { DoctorContext } from "./context.ts";
import { inOrder } from "./doctor.ts";
import { readStore } from "./storage.ts";
import { look, readText } from "./system.ts";
import { unitName } from "./unit.ts";

/** A part of the report that an operator carries out: it holds no secret and no document. */
export interface ReportPart {
  readonly heading: string;
  readonly lines: (context: DoctorContext) => Promise<readonly string[]> | readonly string[];
}

/** The parts that need no other command, in the order of the report. */
export const reportParts: readonly ReportPart[] = [
  { heading: "versions", lines: versionLines },
  { heading: "certificates", lines: certificateLines },
  { heading: "unit", lines: unitLines },
  { heading: "last errors", lines: errorLines },
];

/** The time for all parts together, in milliseconds; the checks of the doctor have less. */
const reportTimeoutMs = 13_000;

/** Makes all parts at the same time, and yields the text of each in order; a failed one says why. */
export async function* makeReport(
  context: DoctorContext,
  parts: readonly ReportPart[],
  timeoutMs = reportTimeoutMs,
): AsyncGenerator<string> {
  const running = parts.map(async ({ lines }) => await lines(context));
  const failure = (why: string) => [`Cannot make this part: ${why}`];
  let index = 0;
  for await (const lines of inOrder(running, failure, timeoutMs)) {
    const { heading } = parts[index++]!;
    yield [`\n== ${heading}`, ...lines.map(plainLine), ""].join("\n");
  }
}

/** Leaves out what may be a password in a URL, such as a proxy's; it may hold `/` and `@`. */
function plainLine(line: string): string {
  return sanitizeLine(line).split(" ").map((word) => {
    const start = word.indexOf("://");
    const end = word.lastIndexOf("@");
    return start < 0 || end < start ? word : `${word.slice(0, start)}://…${word.slice(end)}`;
  }).join(" ").trimEnd();
}

/** The versions of the agent and of what it runs on. */
async function versionLines(context: DoctorContext): Promise<string[]> {
  const { root, options: { versions } } = context;
  const release = readText(`${root}/etc/os-release`);
  const [, distribution = "unknown"] = /^PRETTY_NAME="?(.*?)"?$/m.exec(release ?? "") ?? [];
  const known = Object.entries(versions).filter(([, version]) => version !== null);
  return [
    ...known.map(([name, version]) => `${name} ${version}`),
    `distribution ${distribution}`,
    `glibc ${await glibcVersion(root) ?? "unknown"}`,
    ...await engineLines(context),
  ];
}

/** Reads the version from the C library's file: no program is started. */
async function glibcVersion(root: string): Promise<string | null> {
  const folders = [`/lib/${Deno.build.arch}-linux-gnu`, "/lib64", "/usr/lib"];
  for (const path of folders.map((folder) => `${root}${folder}/libc.so.6`)) {
    if (typeof await look(path) !== "object") continue;
    const text = new TextDecoder("latin1").decode(await Deno.readFile(path));
    const at = text.indexOf("GNU C Library");
    return /version ([\d.]+\d)/.exec(text.slice(Math.max(0, at), at + 200))?.[1] ?? null;
  }
  return null;
}

/** The engine knows the kernel, too, which the runtime does not let the agent read. */
async function engineLines({ agent, options: { signal } }: DoctorContext): Promise<string[]> {
  try {
    const engine = new Engine(findSocket(agent.sockets), signal);
    try {
      const { version, apiVersion, kernel } = await engine.version();
      return [`engine ${version}, API ${apiVersion}`, `kernel ${kernel}`];
    } finally {
      engine.close();
    }
  } catch (error) {
    return [`engine and kernel: ${(error as Error).message}`];
  }
}

/** A setting of a unit; what is neither that nor a section may be a part of a secret. */
const unitSetting = /^\s*([A-Z]+[a-z]\w*)\s*=/;
const unitSection = /^\s*\[\w+\]\s*$/;

/** Settings whose values may be secrets, unless they are the agent's own variables or command. */
const secretSetting = /^(?:Environment|SetCredential\w*|StandardInput\w+|Exec\w+)$/;
const ownVariable = /^\s*Environment\s*=\s*"?(DECNET_\w+)=[^\s"]*"?\s*$/;
const ownCommand = /^\s*Exec\w+\s*=\s*[@:+!|-]*[\w./-]*\/decnet-agent(?:\s[^;]*)?$/;

/** The unit file and its drop-ins, as they lie on this host. */
function unitLines(context: DoctorContext): string[] {
  const { config: { variables }, service: { unit, isActive, isEnabled } } = context;
  if (unit === null) return [`${unitName} is not installed`];
  const state = `${isActive ? "active" : "not active"}, ${isEnabled ? "enabled" : "not enabled"}`;
  return [
    unit.mask ? `${unit.path} is masked; ${state}` : state,
    ...unit.sources.flatMap(({ path, text }) => [`# ${path}`, ...withoutSecrets(text, variables)]),
  ];
}

/** Reads lines as systemd does: one that ends with a backslash goes on after comments. */
function withoutSecrets(text: string, variables: readonly string[]): string[] {
  const lines = text.split(/[\r\n\0]+/).filter((line) => !/^\s*(?:[#;]|$)/.test(line));
  return lines.join("\n").replaceAll("\\\n", " ").split("\n").map((line) => {
    const [setting, name = ""] = unitSetting.exec(line) ?? [];
    if (setting === undefined) return unitSection.test(line) ? line : "(left out)";
    const isOwn = ownCommand.test(line) || variables.includes(ownVariable.exec(line)?.[1] ?? "");
    return isOwn || !secretSetting.test(name) ? line : `${setting.trim()}(left out)`;
  });
}

/** What went wrong before: the store's errors, the agent's log, and stores that were damaged. */
async function errorLines(context: DoctorContext): Promise<string[]> {
  const { storePath } = context.agent;
  const store = await context.once(readStore);
  const applied = store.kind === "read" ? store.applied : null;
  const lastError = "detail" in store ? store.detail : applied?.lastError;
  const refused = applied && readRefusedPush(storePath, applied.topologyId);
  const problems = readProblems(storePath);
  return [
    `last_error of the store: ${lastError ?? "none"}`,
    ...(refused ? [describeRefusedPush(refused)] : []),
    ...listQuarantined(storePath).map(quarantinedLine),
    problems.length > 0 ? "problems in the agent's log:" : "no problems in the agent's log",
    ...problems.map(({ at, level, text }) => `${at} ${level} ${text}`),
  ];
}

function quarantinedLine(path: string): string {
  const { size, mtime } = Deno.lstatSync(path);
  return `quarantined: ${path}, ${size} bytes, of ${timeOf(mtime?.getTime() ?? 0)}`;
}
