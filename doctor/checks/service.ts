import { type Check, ok, skipped, warning } from "../check.ts";
import { readHolder } from "../holder.ts";
import { unit } from "../service.ts";

/** The user of the unit that the agent prints; others may be known to a directory service only. */
const packagedUser = "decnet-agent";
const makeUser = "useradd --system --user-group --groups docker --home-dir /nonexistent " +
  `--no-create-home --shell /usr/sbin/nologin ${packagedUser}`;

/** Whether something sees to it that the agent runs. */
export const service: Check = {
  name: "service",
  code: 3,
  async run(patient) {
    const { hasSystemd, file, isEnabled, isActive, schedule, user } = await patient.service();
    if (!hasSystemd) return skipped("systemd does not run this host");
    const start = "systemctl enable --now decnet-agent";
    const loop = await readHolder(`${patient.stateDirectory}/agent.lock`);
    if (file === null) {
      if (loop) return ok(`${unit} is not installed; the loop was started by other means`);
      if (schedule !== null) return ok(`${unit} is not installed; ${schedule} runs checks`);
      const path = "/etc/systemd/system/decnet-agent.service";
      const install = `decnet-agent print systemd-service > ${path} && ${start}`;
      return warning(
        `${unit} is not installed, and no loop runs: the master hears nothing of this host`,
        patient.accounts.byName(packagedUser) === null ? `${makeUser} && ${install}` : install,
      );
    }
    if (user === packagedUser && patient.accounts.byName(user) === null) {
      return warning(`${file} runs as ${user}, and there is no such user`, makeUser);
    }
    if (!isActive) return warning(`${file} is installed, but not active`, start);
    if (!loop) {
      return warning(
        `${unit} is active, but no loop has locked ${patient.stateDirectory}: the service has ` +
          "another state-dir than this doctor, or cannot write there",
        `systemctl cat ${unit}`,
      );
    }
    if (!isEnabled) {
      return warning(`${unit} is active, but does not start with the host`, start);
    }
    return ok(`${file} is active and starts with the host`);
  },
};
