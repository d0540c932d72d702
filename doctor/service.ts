import { type Check, type DoctorContext, ok, type Result, skipped, warning } from "./context.ts";
import { quote } from "./files.ts";
import { describeOwner, readLivingOwner } from "./probes.ts";
import { findProgramProblem, type Service, type Unit, unit } from "./service_files.ts";
import { endCommand } from "./store.ts";

/** The user of the unit that the agent prints; others may be known to a directory service only. */
const packagedUser = "decnet-agent";
const makeUser = "useradd --system --user-group --groups docker --home-dir /nonexistent " +
  `--no-create-home --shell /usr/sbin/nologin ${packagedUser}`;
const start = "systemctl enable --now decnet-agent";
const install = `decnet-agent print systemd-service > /etc/systemd/system/${unit} && ${start}`;

/** Whether something sees to it that the agent runs. */
export const service: Check = {
  name: "service",
  code: 3,
  async run(context) {
    const found = await context.service();
    if (!found.hasSystemd) return skipped("systemd does not run this host");
    const loop = await readLivingOwner(`${context.stateDirectory}/agent.lock`);
    if (found.unit === null) {
      if (loop) return ok(`${unit} is not installed; the loop was started by other means`);
      return judgeSchedule(found, context);
    }
    return await findFault(found.unit, found, context) ?? judgeRun(found, context, loop !== null);
  },
};

/** What keeps a service that is installed from being started. */
async function findFault(
  { path, mask }: Unit,
  { unit: installed, user, isActive }: Service,
  context: DoctorContext,
): Promise<Result | null> {
  const { accounts, root } = context;
  if (mask !== null) {
    const state = isActive ? "runs, and may not be started again" : "may not be started";
    // As long as the mask is there, what is written to its path is gone.
    const unmask = `systemctl unmask ${path.startsWith(`${root}/run/`) ? "--runtime " : ""}`;
    const fix = `${unmask}decnet-agent && ${mask.hasOther ? start : installFor(context)}`;
    return warning(`${path} is masked: the service ${state}`, fix);
  }
  if (user === packagedUser && accounts.byName(user) === null) {
    return warning(`${path} runs as ${user}, and there is no such user`, makeUser);
  }
  const problem = installed && await findProgramProblem(installed, root);
  if (!problem) return null;
  const { text, file } = problem;
  if (file === path) return warning(text, install);
  return warning(text, `sed -i '/^[ \\t]*ExecStart[ \\t]*=/d' ${quote(file)} && ${start}`);
}

function judgeRun(
  { unit: installed, isActive, isEnabled, timer }: Service,
  { stateDirectory }: DoctorContext,
  hasLoop: boolean,
): Result {
  const file = installed?.path;
  if (!isActive) return warning(`${file} is installed, but not active`, start);
  if (!hasLoop) {
    return warning(
      `${unit} is active, but no loop has locked ${stateDirectory}: the service has ` +
        "another state-dir than this doctor, or cannot write there",
      `systemctl cat ${unit}`,
    );
  }
  if (!isEnabled) return warning(`${unit} is active, but does not start with the host`, start);
  const active = `${file} is active and starts with the host`;
  return timer ? ok(active, timerText(timer)) : ok(active);
}

/** Without a loop, checks may report for the host. */
function judgeSchedule({ cronFile, timer }: Service, context: DoctorContext): Result {
  const absent = `${unit} is not installed`;
  if (cronFile !== null) return ok(`${absent}; ${cronFile} runs checks`);
  if (timer?.isEnabled) return ok(`${absent}; ${timerText(timer)}`);
  if (timer) {
    return warning(`${absent}; ${timerText(timer)}`, `systemctl enable --now ${timer.name}`);
  }
  const silence = "and no loop runs: the master hears nothing of this host";
  return warning(`${absent}, ${silence}`, installFor(context));
}

/** The command that installs the service, with its user where that is not there yet. */
function installFor({ accounts }: DoctorContext): string {
  return accounts.byName(packagedUser) === null ? `${makeUser} && ${install}` : install;
}

/** What the files tell of a timer: not whether somebody has stopped it. */
function timerText({ name, isEnabled }: { name: string; isEnabled: boolean }): string {
  return isEnabled
    ? `${name} runs checks, unless it was stopped: systemctl list-timers`
    : `${name} is installed, but does not start with the host`;
}

/** Whether another agent reports for this host, or changes its Docker. */
export const otherAgents: Check = {
  name: "other-agents",
  code: 3,
  async run(context) {
    const { otherStateDirectories = [] } = context.options;
    for (const folder of otherStateDirectories) {
      if (folder === context.stateDirectory) continue;
      const path = `${folder}/agent.lock`;
      const holder = await readLivingOwner(path);
      if (!holder) continue;
      return warning(
        `another loop: ${describeOwner(holder, path)}; two of them report twice, and apply twice`,
        endCommand(path),
      );
    }
    const { others } = await context.service();
    return ok(
      others.length === 0
        ? "none in the usual state folders, none among the active units"
        : `none in the usual state folders; active units: ${others.join(", ")}`,
      "the list of processes is hidden from the agent by its runtime",
    );
  },
};
