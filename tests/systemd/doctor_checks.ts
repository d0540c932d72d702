import assert from "node:assert/strict";
import { user } from "./machine.ts";
import { type Check, Doctor, type Site } from "./site.ts";

/** Something wrong with the service, and what the doctor must say of it and how to fix it. */
interface FaultCase {
  readonly name: string;
  /** What root has done; the service is enabled and runs before. */
  readonly harm: string;
  /** The check that must report it; `service` if not given. */
  readonly check?: string;
  /** `warning` if not given. */
  readonly state?: "failed";
  readonly details: RegExp;
  /** What the doctor must say; what follows `: ` in it is carried out. */
  readonly fix: string;
  /** What root does where the doctor names no command. */
  readonly repair?: string;
  /** What must be true after that, beside the check that is in order. */
  readonly after?: (site: Site) => Promise<unknown>;
}

const name = "decnet-agent";
const folder = "/etc/systemd/system";
const file = `${folder}/${name}.service`;
const timer = `${name}-check.timer`;
const stateFolder = `/var/lib/${name}`;
const start = `systemctl enable --now ${name}`;
const executable = "/usr/local/bin/decnet-agent";
const install = `${executable} print install | sh`;
/** Whatever a check before this one has left. */
const heal = `rm -rf ${file} ${file}.d; ` +
  `mkdir -p ${stateFolder} && chown -R ${name}: ${stateFolder} && ` +
  `${executable} print systemd-service > ${file} && ${start}`;
/** The restart fails, as it should. */
const restart = `systemctl daemon-reload; systemctl restart ${name} || true`;

const faultCases: readonly FaultCase[] = [
  {
    name: "a service that was disabled and stopped",
    harm: `systemctl disable --now ${name}`,
    details: /decnet-agent\.service is installed, but not active/,
    fix: `start the service: ${start}`,
    after: ({ machine }) => machine.shell(`systemctl is-enabled ${name}`),
  },
  {
    name: "a service that is masked, with its unit gone",
    harm: `systemctl stop ${name} && rm ${file} && systemctl mask ${name}`,
    details: /decnet-agent\.service is masked: the service may not be started/,
    fix: `remove the mask and start the service: systemctl unmask ${name} && ${install}`,
  },
  {
    name: "a timer that was not enabled",
    harm: `systemctl disable --now ${name}; rm ${file}; systemctl daemon-reload`,
    details: /is not installed; decnet-agent-check\.timer is installed, but does not start with/,
    fix: `enable ${timer} (systemctl enable)`,
    repair: `systemctl enable --now ${timer}`,
    async after({ machine }) {
      const { details } = await new Doctor(machine).find("service");
      assert.match(details, /decnet-agent-check\.timer runs checks, unless it was stopped/);
      await machine.shell(`systemctl is-active ${timer} && systemctl disable --now ${timer}`);
    },
  },
  {
    name: "a host without so much as the user",
    harm:
      `systemctl disable --now ${name}; rm ${file} ${folder}/${name}-check.*; userdel ${name}; systemctl daemon-reload`,
    details: /is not installed, and no agent is running/,
    fix: `install the service: ${install}`,
  },
  {
    name: "a unit with a group that does not exist",
    harm: `systemctl stop ${name}; groupmod -n moby docker; ${restart}`,
    details: /decnet-agent\.service adds group docker, and there is no such group/,
    fix: `install the service again: ${install}`,
    after: ({ machine }) => machine.shell("groupmod -n docker moby"),
  },
  {
    name: "a state folder that is root's",
    harm: `systemctl stop ${name} && chown -R root: ${stateFolder}`,
    check: "state-dir",
    state: "failed",
    details: /owner root, .*user decnet-agent cannot enter it/,
    fix: `make ${name} the owner of ${stateFolder} and of everything in it (chown -R)`,
    repair: `chown -R ${name}: ${stateFolder}`,
  },
  {
    name: "a state folder that is not there yet",
    harm: `systemctl stop ${name} && rm -r ${stateFolder}`,
    check: "state-dir",
    state: "failed",
    details: /does not exist, and user decnet-agent cannot create it in \/var\/lib/,
    fix: `create ${stateFolder} with mode 0700, owned by ${name}`,
    repair: `install -d -o ${name} -m 700 ${stateFolder}`,
    after: async ({ machine }) => {
      const doctor = new Doctor(machine);
      await doctor.fix(await doctor.find("service"));
    },
  },
];

/** What the doctor says of a service that does not run as it should, and whether that helps. */
export const faultChecks: readonly Check[] = faultCases.map((faultCase) => ({
  name: `doctor names ${faultCase.name}, and how to fix it`,
  run: (site) => checkFault(faultCase, site),
}));

async function checkFault(faultCase: FaultCase, site: Site): Promise<string> {
  const { harm, check = "service", state = "warning", details, fix, repair, after } = faultCase;
  const { machine, service } = site;
  await machine.shell(heal);
  const doctor = new Doctor(machine);
  assert.equal((await doctor.find(check)).state, "ok");
  await machine.shell(harm);
  const found = await doctor.find(check);
  assert.equal(found.state, state, found.details);
  assert.match(found.details, details);
  assert.equal(found.fix, fix);
  await doctor.fix(found, repair);
  if (check === "service" && !fix.includes(timer)) {
    assert.equal(await service.property("ActiveState"), "active");
  }
  await after?.(site);
  return fix;
}

/** What must be in order on a host where the agent was installed by what it prints. */
const mustBeOk = ["configuration", "state-dir", "store", "lock", "socket", "engine"]
  .concat("certificates", "authority", "validity", "master", "api", "service", "other-agents");

/** What the doctor says of a service that runs. */
export const doctorChecks: readonly Check[] = [
  ...[true, false].map((isRoot): Check => ({
    name: `doctor finds what runs in order, for ${isRoot ? "root" : "the service's user"}`,
    async run({ machine, service }) {
      await machine.shell("systemctl enable --now decnet-agent");
      const doctor = new Doctor(machine, isRoot);
      const { code, findings } = await doctor.examine();
      const states = new Map(findings.map(({ name, state }) => [name, state]));
      for (const name of mustBeOk) assert.equal(states.get(name), "ok", JSON.stringify(findings));
      // 1 is for what others have left on this engine.
      assert.ok(code <= 1, JSON.stringify(findings));
      const details = (name: string) => findings.find((it) => it.name === name)!.details;
      const pid = await service.property("MainPID");
      assert.match(details("lock"), new RegExp(`/agent\\.lock names process ${pid} since `));
      const folder = `/var/lib/decnet-agent: owner ${user}, group ${user}, mode 0700`;
      assert.equal(details("state-dir"), folder);
      assert.match(details("socket"), /docker\.sock: owner .* it accepts connections$/);
      assert.match(details("service"), /decnet-agent\.service is active and starts with the host/);
      return `${mustBeOk.length} checks are ok, process ${pid} holds the lock`;
    },
  })),
];
