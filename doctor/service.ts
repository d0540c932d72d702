import { exists, identityOf, statFile } from "../host/files.ts";
import { describeOwner as describeProcess, readLockOwner as readOwner } from "../host/lock.ts";
import { lockPathOf } from "../store/file.ts";
import {
  type Account,
  type DoctorContext,
  look,
  moveAway,
  namesIn,
  ok,
  quotePath,
  readText,
  type Result,
  skipped,
  warning,
} from "./context.ts";

/** Folders of units, in systemd's order: the first that has a file wins. */
const folders = ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"]
  .map((it) => `${it}/systemd/system`);

/** A setting, and the file that has it. */
type Setting = { readonly value: string; readonly file: string };

/** A file that makes up a unit. */
type Source = { readonly path: string; readonly text: string };

/** A unit file with its drop-ins, or the mask in its place. */
export class Unit {
  /** The unit's own file first; a masked one has none. */
  readonly sources: readonly Source[];

  /**
   * `mask` is set when the unit is masked; `hasOther`: a unit file is hidden by the mask.
   */
  constructor(
    readonly path: string,
    readonly mask: { readonly hasOther: boolean } | null,
    ...sources: readonly Source[]
  ) {
    this.sources = sources;
  }

  /** Returns the values of a key in order; an empty value clears those before it. */
  all(key: string): Setting[] {
    const line = new RegExp(`^[ \\t]*${key}[ \\t]*=(.*)$`, "gm");
    const given = this.sources.flatMap(({ path: file, text }) =>
      [...text.matchAll(line)].map(([, value = ""]) => ({ value: value.trim(), file }))
    );
    return given.slice(given.findLastIndex(({ value }) => value === "") + 1);
  }

  /** Returns the value of a key that takes one value: the last. */
  last(key: string): Setting | null {
    return this.all(key).at(-1) ?? null;
  }
}

/** Reads a unit as systemd does; null when there is none. `root` is put before the paths. */
export async function readUnit(root: string, name: string): Promise<Unit | null> {
  const paths = folders.map((folder) => `${root}${folder}/${name}`);
  for (const [index, path] of paths.entries()) {
    const text = await readText(path);
    if (isMask(path) || text === "") {
      const behind = await Promise.all(paths.slice(index + 1).map(readText));
      const hasOther = behind.some(Boolean);
      // A redirection whose command failed leaves an empty file, which for systemd is a mask.
      return text === "" && !hasOther ? null : new Unit(path, { hasOther });
    }
    if (text !== null) return new Unit(path, null, { path, text }, ...await dropIns(root, name));
  }
  return null;
}

/** Returns true when a unit of this name is installed. */
export function hasUnit(root: string, name: string): boolean {
  return folders.some((folder) => exists(`${root}${folder}/${name}`));
}

/** Reads the drop-ins of a unit, sorted by name as systemd applies them. */
async function dropIns(root: string, unit: string): Promise<Source[]> {
  const paths = new Map<string, string>();
  for (const folder of folders.map((it) => `${root}${it}/${unit}.d`)) {
    for (const name of await namesIn(folder)) {
      if (name.endsWith(".conf") && !paths.has(name)) paths.set(name, `${folder}/${name}`);
    }
  }
  const sorted = [...paths].sort(([a], [b]) => a < b ? -1 : 1).map(([, path]) => path);
  return await Promise.all(
    sorted.map(async (path) => ({ path, text: await readText(path) ?? "" })),
  );
}

function isMask(path: string): boolean {
  try {
    return Deno.readLinkSync(path) === "/dev/null";
  } catch {
    return false;
  }
}

/** The unit of the agent. */
export const unit = "decnet-agent.service";
const invocation = "invocation:";
const configured = "/etc/systemd/system";

/** The agent's service, read from the files of systemd. */
export interface Service {
  readonly unit: Unit | null;
  /** The user that it runs as; null when the unit does not say. */
  readonly user: string | null;
  /** Groups of the service in addition to those of its user. */
  readonly groups: readonly string[];
  readonly isEnabled: boolean;
  readonly isActive: boolean;
  /** Other units that are active and have decnet in their names. */
  readonly others: readonly string[];
  /** A timer that runs checks, or null; no file shows whether it is active. */
  readonly timer: { readonly name: string; readonly isEnabled: boolean } | null;
  /** A cron file that runs checks, or null. */
  readonly cronFile: string | null;
}

/** Reads the agent's service, once. */
export function serviceOf(context: DoctorContext): Promise<Service> {
  return context.once(({ root }) => readService(root));
}

/** Reads the agent's service; `root` is put before the paths. Starts no program. */
export async function readService(root: string): Promise<Service> {
  const namesOf = (folder: string) => namesIn(`${root}${folder}`);
  const active = (await namesOf("/run/systemd/units"))
    .filter((name) => name.startsWith(invocation)).map((name) => name.slice(invocation.length));
  const found = await readUnit(root, unit);
  const timers = (await namesOf(configured)).filter((it) => /^decnet-agent.*\.timer$/.test(it));
  const ticking = await namesOf(`${configured}/timers.target.wants`);
  const timer = timers.find((it) => ticking.includes(it)) ?? timers[0];
  const crons = await namesOf("/etc/cron.d");
  return {
    unit: found,
    user: found?.last("User")?.value || null,
    groups: (found?.all("SupplementaryGroups") ?? []).flatMap(({ value }) => value.split(/\s+/)),
    isEnabled: (await namesOf(`${configured}/multi-user.target.wants`)).includes(unit),
    isActive: active.includes(unit),
    others: active.filter((name) => name.includes("decnet") && name !== unit),
    timer: timer === undefined ? null : { name: timer, isEnabled: ticking.includes(timer) },
    cronFile: crons.find((name) => name.startsWith("decnet-agent")) ?? null,
  };
}

/** Returns the path of the program in a command line; null when only systemd can resolve it. */
export function programOf(command: string): string | null {
  const [, quoted, plain] = /^[@:+!|-]*(?:"([^"]*)"|(\S+))/.exec(command) ?? [];
  const path = quoted ?? plain ?? "";
  if (!path.startsWith("/") || /%[^%]/.test(path.replaceAll("%%", ""))) return null;
  return path.replaceAll("%%", "%");
}

/** Returns the user that runs the agent: for root the user of the unit, else the current user. */
export function agentUser(context: DoctorContext): Promise<Account> {
  return context.once(findAgentUser);
}

async function findAgentUser(context: DoctorContext): Promise<Account> {
  const { accounts, user: own } = context;
  if (own.uid !== 0) return own;
  const { user, groups } = await serviceOf(context);
  const account = user === null ? null : accounts.byName(user);
  if (!account) return own;
  const added = groups.map((it) => accounts.groupNumber(it)).filter((it) => it !== null);
  return { ...account, groups: new Set([...account.groups, ...added]) };
}

/** Returns a sentence with the command line that calls the agent, and the user to call it as. */
export async function callAgent(
  context: DoctorContext,
  sentence: string,
  ...words: string[]
): Promise<string> {
  const user = await agentUser(context);
  const folder = user.uid === context.user.uid ? null : await look(context.stateDirectory);
  // If root ran it, the agent could not change the files that root creates.
  const isTheirs = folder !== null && typeof folder === "object" && folder.uid === user.uid;
  const who = isTheirs ? `, as user ${user.name}` : "";
  return `${sentence}${who}: ${context.config.lineOf(...words)}`;
}

/** The owner that a lock file names; the file of a killed process still names it. */
export interface LockOwner {
  /** `process 4711 since …`, with the purpose in the file of the apply lock. */
  readonly text: string;
  /** In milliseconds since 1970; null when the file does not say. */
  readonly since: number | null;
  /** The version of a running agent; null when the file does not say. */
  readonly version: string | null;
  /** Whether a process with this number exists; null when this cannot be seen. */
  readonly isThere: boolean | null;
}

/** Reads a lock file without taking the lock; null when it names no owner. */
export async function readLockOwner(path: string): Promise<LockOwner | null> {
  const owner = readOwner(path);
  if (!owner) return null;
  const { pid, since, purpose } = owner;
  const loop = /^the loop(?: of version (\S+))?$/.exec(purpose);
  const time = Date.parse(since);
  return {
    text: loop ? `process ${pid} since ${since}` : describeProcess(owner),
    since: Number.isNaN(time) ? null : time,
    version: loop?.[1] ?? null,
    isThere: await isProcess(pid),
  };
}

/** Reads the owner of the agent's lock in a folder; null when no agent runs. */
export async function readRunningAgent(stateDirectory: string): Promise<LockOwner | null> {
  const owner = await readLockOwner(`${stateDirectory}/agent.lock`);
  return owner?.isThere === false ? null : owner;
}

/** Describes the owner of a lock, and whether its process exists. */
export function describeOwner({ text, isThere }: LockOwner, path: string): string {
  switch (isThere) {
    case true:
      return `${path} names ${text}, and there is such a process`;
    case false:
      return `${path} was held by ${text}, which has ended`;
    case null:
      return `${path} names ${text}; the agent cannot see whether it still runs`;
  }
}

/** Returns whether a process exists. Reads its priority, because the runtime hides /proc. */
async function isProcess(pid: number): Promise<boolean | null> {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "getPriority" });
  if (state !== "granted") return null;
  const { getPriority } = await import("node:os");
  try {
    getPriority(pid);
    return true;
  } catch (error) {
    const { info } = error as { info?: { code?: string } };
    return info?.code === "ESRCH" ? false : null;
  }
}

/** How long an apply may take: no master waits longer, in milliseconds. */
const longApplyMs = 600_000;
const endProcess = "check that this process is an agent, then stop it";

/** Checks which processes hold the two locks of the state directory; takes neither. */
export async function checkLock(context: DoctorContext): Promise<Result> {
  const agentPath = `${context.stateDirectory}/agent.lock`;
  const applyPath = lockPathOf(context.agent.storePath);
  const wrong = [agentPath, applyPath].find(isNoFile);
  if (wrong !== undefined) {
    return warning(`${wrong} is not a regular file, so it cannot be locked`, moveAway(wrong));
  }
  const [agent, apply] = await Promise.all([agentPath, applyPath].map(readLockOwner));
  const details = [
    agent ? describeOwner(agent, agentPath) : `no agent is running with ${agentPath}`,
    ...(apply ? [describeOwner(apply, applyPath)] : []),
  ];
  const isLong = Date.now() - (apply?.since ?? Infinity) > longApplyMs;
  if (apply && apply.isThere !== false && isLong) {
    const long = "an apply or a teardown has been running for over 10 minutes";
    return warning([long, ...details], endProcess);
  }
  const service = await serviceOf(context);
  const isService = !context.hasSystemd || service.unit === null || service.isActive;
  if (agent && agent.isThere !== false && !isService) {
    const foreign = `agent.lock names a process that is none of ${unit}: another agent, beside ` +
      "which the service cannot start";
    const orDead = agent.isThere === null ? ", or one that was killed" : "";
    return warning([foreign + orDead, ...details], endProcess);
  }
  return ok(...details);
}

/** Returns true when something else than a file is at a path, such as a link. */
function isNoFile(path: string): boolean {
  try {
    return statFile(path)?.isFile === false;
  } catch {
    // The check of the folder reports that it cannot be entered.
    return false;
  }
}

/** The user in the printed unit. Others are not looked up: they may come from LDAP. */
const packagedUser = "decnet-agent";
const start = "systemctl enable --now decnet-agent";

/** Checks whether systemd or cron runs the agent. */
export async function checkService(context: DoctorContext): Promise<Result> {
  const found = await serviceOf(context);
  if (!context.hasSystemd) return skipped("systemd does not run this host");
  const agent = await readRunningAgent(context.stateDirectory);
  if (found.unit === null) {
    if (agent) return ok(`${unit} is not installed; the agent was started by other means`);
    return judgeSchedule(found, context);
  }
  return await findFault(found.unit, found, context) ?? judgeRun(found.unit, found, context, agent);
}

/** Returns why an installed service cannot be started; null when it can. */
async function findFault(
  installed: Unit,
  { user, groups, isActive }: Service,
  context: DoctorContext,
): Promise<Result | null> {
  const { accounts, root } = context;
  const { path, mask } = installed;
  if (mask !== null) {
    const state = isActive ? "runs, and may not be started again" : "may not be started";
    // A file that is written to the path of the mask is lost in /dev/null.
    const unmask = `systemctl unmask ${path.startsWith(`${root}/run/`) ? "--runtime " : ""}`;
    const next = mask.hasOther ? start : installFor(context);
    const fix = `remove the mask and start the service: ${unmask}decnet-agent && ${next}`;
    return warning(`${path} is masked: the service ${state}`, fix);
  }
  if (user === packagedUser && accounts.byName(user) === null) {
    const text = `${path} runs as ${user}, and there is no such user`;
    return warning(text, `create the user: ${makeUser(context)}`);
  }
  if (groups.includes(packagedGroup) && !hasGroup(context)) {
    const text = `${path} adds group ${packagedGroup}, and there is no such group`;
    const fix = "install the engine, or replace that group by the one of its socket: systemctl " +
      "edit --full decnet-agent";
    return warning(text, fix);
  }
  return await findProgramProblem(installed, context);
}

/** Returns why the program of a unit cannot be started; null when it can, or this is unknown. */
async function findProgramProblem(unit: Unit, context: DoctorContext): Promise<Result | null> {
  const { value = "", file } = unit.last("ExecStart") ?? {};
  const path = programOf(value);
  const info = path === null ? "forbidden" : await look(`${context.root}${path}`);
  if (info === "forbidden") return null;
  const isProgram = info !== "absent" && info.isFile && ((info.mode ?? 0) & 0o111) !== 0;
  if (isProgram) return null;
  const why = info === "absent" ? "does not exist" : "is no program";
  const text = `${file} has the service run ${path}, which ${why}`;
  if (file === unit.path) return warning(text, `install the unit again: ${installFor(context)}`);
  return warning(text, `remove the lines with ExecStart from ${file}, then start it: ${start}`);
}

function judgeRun(
  installed: Unit,
  { isActive, isEnabled, timer }: Service,
  context: DoctorContext,
  agent: LockOwner | null,
): Result {
  const { options: { versions }, config: { program }, root, stateDirectory } = context;
  const file = installed.path;
  if (!isActive) {
    return warning(`${file} is installed, but not active`, `start the service: ${start}`);
  }
  if (!agent) {
    const text = `${unit} is active, but no agent has locked ${stateDirectory}: the service has ` +
      "another state-dir than this doctor, or cannot write there";
    return warning(text, `compare the state-dir of the service: systemctl cat ${unit}`);
  }
  if (!isEnabled) {
    const text = `${unit} is active, but does not start with the host`;
    return warning(text, `enable the service: ${start}`);
  }
  const path = programOf(installed.last("ExecStart")?.value ?? "");
  const isThisProgram = path !== null &&
    identityOf(`${root}${path}`) === identityOf(`${root}${program.path}`);
  if (isThisProgram && agent.version !== versions.agent) {
    const running = agent.version === null ? "an older version" : `version ${agent.version}`;
    const text = `the running agent is ${running}, and ${path} is version ${versions.agent}`;
    return warning(text, "restart the service: systemctl restart decnet-agent");
  }
  const active = `${file} is active and starts with the host`;
  return timer ? ok(active, timerText(timer)) : ok(active);
}

/** Judges a host without the service: a timer or cron may run checks instead. */
function judgeSchedule({ cronFile, timer }: Service, context: DoctorContext): Result {
  const absent = `${unit} is not installed`;
  if (cronFile !== null) return ok(`${absent}; ${cronFile} runs checks`);
  if (timer?.isEnabled) return ok(`${absent}; ${timerText(timer)}`);
  if (timer) {
    return warning(`${absent}; ${timerText(timer)}`, `enable ${timer.name} (systemctl enable)`);
  }
  const fix = `install the service: ${installFor(context)}`;
  return warning(`${absent}, and no agent is running`, fix);
}

/** Where the executable goes if a unit cannot start it where it lies. */
const installed = "/usr/local/bin/decnet-agent";
/** The group in the printed unit. */
const packagedGroup = "docker";

/** Returns the command that installs the service, with its user and executable if they are missing. */
function installFor(context: DoctorContext): string {
  const { accounts, config: { program: { path, isStartable } } } = context;
  const program = isStartable ? path : installed;
  // With a group that does not exist, systemd could not start the service.
  const without = hasGroup(context) ? "" : ` | sed '/^SupplementaryGroups=${packagedGroup}$/d'`;
  return [
    isStartable ? [] : `install -m 0755 ${quotePath(path)} ${installed}`,
    accounts.byName(packagedUser) === null ? makeUser(context) : [],
    `${quotePath(program)} print systemd-service${without} > ${configured}/${unit}`,
    start,
  ].flat().join(" && ");
}

function hasGroup({ accounts }: DoctorContext): boolean {
  return accounts.groupNumber(packagedGroup) !== null;
}

function makeUser(context: DoctorContext): string {
  const groups = hasGroup(context) ? ` --groups ${packagedGroup}` : "";
  return `useradd --system --user-group${groups} --home-dir /nonexistent ` +
    `--no-create-home --shell /usr/sbin/nologin ${packagedUser}`;
}

/** Describes a timer by its files, which do not show whether it was stopped. */
function timerText({ name, isEnabled }: { name: string; isEnabled: boolean }): string {
  return isEnabled
    ? `${name} runs checks, unless it was stopped: systemctl list-timers`
    : `${name} is installed, but does not start with the host`;
}

/** Checks that no other agent runs on this host. */
export async function checkOtherAgents(context: DoctorContext): Promise<Result> {
  const { otherStateDirectories = [] } = context.options;
  for (const folder of otherStateDirectories) {
    const owner = folder === context.stateDirectory ? null : await readRunningAgent(folder);
    if (!owner) continue;
    const text = describeOwner(owner, `${folder}/agent.lock`);
    return warning(`another agent: ${text}; two of them report twice, and apply twice`, endProcess);
  }
  const { others } = await serviceOf(context);
  return ok(
    others.length === 0
      ? "none in the usual state folders, none among the active units"
      : `none in the usual state folders; active units: ${others.join(", ")}`,
    "agents that were started by hand cannot be seen",
  );
}
