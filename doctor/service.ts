import { identityOf } from "../host/files.ts";
import { describeOwner, type LockOwner, readLockOwner } from "../host/lock.ts";
import { lockPathOf } from "../store/file.ts";
import { type DoctorContext, ok, type Result, skipped, warning } from "./context.ts";
import { look, moveAway, quotePath } from "./system.ts";
import { programOf, type Service, type Unit, unitName } from "./unit.ts";

/** A process that a lock file names; the file of a killed process still names it. */
interface LockHolder extends LockOwner {
  /** Whether a process with this number exists. */
  readonly isThere: boolean;
}

/** Reads a lock file without taking the lock; null when it names no process. */
async function readHolder(path: string): Promise<LockHolder | null> {
  const owner = readLockOwner(path);
  return owner && { ...owner, isThere: await isProcess(owner.pid) };
}

/** Reads who holds the agent's lock in a folder; null when no agent runs. */
export async function readRunningAgent(stateDirectory: string): Promise<LockHolder | null> {
  const holder = await readHolder(`${stateDirectory}/agent.lock`);
  return holder?.isThere ? holder : null;
}

function describeHolder(holder: LockHolder, path: string): string {
  const text = describeOwner(holder);
  return holder.isThere
    ? `${path} names ${text}, which is running`
    : `${path} was held by ${text}, which has ended`;
}

/** Returns whether a process exists. Reads its priority, because the runtime hides /proc. */
async function isProcess(pid: number): Promise<boolean> {
  const { getPriority } = await import("node:os");
  try {
    getPriority(pid);
    return true;
  } catch (error) {
    return (error as { info?: { code?: string } }).info?.code !== "ESRCH";
  }
}

/** How long an apply may take: no master waits longer, in milliseconds. */
const longApplyMs = 600_000;
const endProcess = "check that this process is an agent, then stop it";

/** Checks which processes hold the two locks of the state directory; takes neither. */
export async function checkLock(context: DoctorContext): Promise<Result> {
  const { hasSystemd, service, stateDirectory } = context;
  const agentPath = `${stateDirectory}/agent.lock`;
  const applyPath = lockPathOf(context.agent.storePath);
  for (const path of [agentPath, applyPath]) {
    const info = await look(path, Deno.lstat);
    if (typeof info !== "object" || info.isFile) continue;
    return warning(`${path} is not a regular file, so it cannot be locked`, moveAway(path));
  }
  const [agent, apply] = await Promise.all([agentPath, applyPath].map(readHolder));
  const details = [
    agent ? describeHolder(agent, agentPath) : `no agent is running with ${agentPath}`,
    ...(apply ? [describeHolder(apply, applyPath)] : []),
  ];
  if (apply?.isThere && Date.now() - Date.parse(apply.since) > longApplyMs) {
    const long = "an apply or a teardown has been running for over 10 minutes";
    return warning([long, ...details], endProcess);
  }
  const isService = !hasSystemd || service.unit === null || service.isActive;
  if (agent?.isThere && !isService) {
    const foreign = `agent.lock names a process that is none of ${unitName}: another agent, ` +
      "beside which the service cannot start";
    return warning([foreign, ...details], endProcess);
  }
  return ok(...details);
}

/** The user and the group in the printed unit. Other users are not looked up: they may come from LDAP. */
const [packagedUser, packagedGroup] = ["decnet-agent", "docker"];
const start = "systemctl enable --now decnet-agent";

/** Checks whether systemd or cron runs the agent. */
export async function checkService(context: DoctorContext): Promise<Result> {
  const { service: { unit }, stateDirectory } = context;
  if (!context.hasSystemd) return skipped("systemd does not run this host");
  const agent = await readRunningAgent(stateDirectory);
  if (unit) return await findFault(unit, context) ?? judgeRun(unit, context, agent);
  if (agent) return ok(`${unitName} is not installed; the agent was started by other means`);
  return judgeSchedule(context);
}

/** Returns why an installed service cannot be started; null when it can, or this is unknown. */
async function findFault(unit: Unit, context: DoctorContext): Promise<Result | null> {
  const { accounts, root, service: { user, groups, isActive } } = context;
  const { path, mask } = unit;
  const again = `install the service again: ${installer(context)}`;
  if (mask !== null) {
    const state = isActive ? "runs, and may not be started again" : "may not be started";
    // A file that is written to the path of the mask is lost in /dev/null.
    const unmask = `systemctl unmask ${path.startsWith(`${root}/run/`) ? "--runtime " : ""}`;
    const next = mask.hasOther ? start : installer(context);
    const fix = `remove the mask and start the service: ${unmask}decnet-agent && ${next}`;
    return warning(`${path} is masked: the service ${state}`, fix);
  }
  if (user === packagedUser && accounts.byName(user) === null) {
    return warning(`${path} runs as ${user}, and there is no such user`, again);
  }
  if (groups.includes(packagedGroup) && accounts.groupNumber(packagedGroup) === null) {
    return warning(`${path} adds group ${packagedGroup}, and there is no such group`, again);
  }
  const { value = "", file } = unit.last("ExecStart") ?? {};
  const program = programOf(value);
  const info = program === null ? "forbidden" : await look(`${root}${program}`);
  if (info === "forbidden") return null;
  if (info !== "absent" && info.isFile && ((info.mode ?? 0) & 0o111) !== 0) return null;
  const why = info === "absent" ? "does not exist" : "is no program";
  const text = `${file} has the service run ${program}, which ${why}`;
  if (file === path) return warning(text, again);
  return warning(text, `remove the lines with ExecStart from ${file}, then start it: ${start}`);
}

function judgeRun(unit: Unit, context: DoctorContext, agent: LockHolder | null): Result {
  const { options: { versions }, config: { program }, root, stateDirectory, service } = context;
  const { isActive, isEnabled, timer } = service;
  if (!isActive) {
    return warning(`${unit.path} is installed, but not active`, `start the service: ${start}`);
  }
  if (!agent) {
    const text = `${unitName} is active, but no agent has locked ${stateDirectory}: the service ` +
      "has another state-dir than this doctor, or cannot write there";
    return warning(text, `compare the state-dir of the service: systemctl cat ${unitName}`);
  }
  if (!isEnabled) {
    const text = `${unitName} is active, but does not start with the host`;
    return warning(text, `enable the service: ${start}`);
  }
  const path = programOf(unit.last("ExecStart")?.value ?? "");
  const isThisProgram = path !== null &&
    identityOf(`${root}${path}`) === identityOf(`${root}${program}`);
  const [, version] = /^the agent of version (\S+)$/.exec(agent.purpose) ?? [];
  if (isThisProgram && version !== versions.agent) {
    const running = version === undefined ? "an older version" : `version ${version}`;
    const text = `the running agent is ${running}, and ${path} is version ${versions.agent}`;
    return warning(text, "restart the service: systemctl restart decnet-agent");
  }
  const active = `${unit.path} is active and starts with the host`;
  return timer ? ok(active, timerText(timer)) : ok(active);
}

/** Judges a host without the service: a timer or cron may run checks instead. */
function judgeSchedule(context: DoctorContext): Result {
  const { cronFile, timer } = context.service;
  const absent = `${unitName} is not installed`;
  if (cronFile !== null) return ok(`${absent}; ${cronFile} runs checks`);
  if (!timer) {
    const fix = `install the service: ${installer(context)}`;
    return warning(`${absent}, and no agent is running`, fix);
  }
  const text = `${absent}; ${timerText(timer)}`;
  return timer.isEnabled ? ok(text) : warning(text, `enable ${timer.name} (systemctl enable)`);
}

/** Returns the command that installs the service, with all that it needs; it may be run again. */
function installer({ config: { program } }: DoctorContext): string {
  return `${quotePath(program)} print install | sh`;
}

/** Describes a timer by its files, which do not show whether it was stopped. */
function timerText({ name, isEnabled }: NonNullable<Service["timer"]>): string {
  return isEnabled
    ? `${name} runs checks, unless it was stopped: systemctl list-timers`
    : `${name} is installed, but does not start with the host`;
}

/** Checks that no other agent runs on this host. */
export async function checkOtherAgents(context: DoctorContext): Promise<Result> {
  const { otherStateDirectories = [] } = context.options;
  for (const folder of otherStateDirectories) {
    const holder = folder === context.stateDirectory ? null : await readRunningAgent(folder);
    if (!holder) continue;
    const text = describeHolder(holder, `${folder}/agent.lock`);
    return warning(`another agent: ${text}; two of them report twice, and apply twice`, endProcess);
  }
  return ok("none in the usual state folders; those that were started by hand cannot be seen");
}
