import assert from "node:assert/strict";
import { testFaults } from "./doctor_fault.ts";
import { examineHost, unitFile, withPatient } from "./doctor_setup.ts";

const start = "systemctl enable --now decnet-agent";
const install = `decnet-agent print systemd-service > ${unitFile} && ${start}`;
const packagedUnit = "/usr/lib/systemd/system/decnet-agent.service";
const timer = "/etc/systemd/system/decnet-agent-check.timer";
const program = "[Service]\nExecStart=/usr/local/bin/decnet-agent\n";
/** The loop of `withPatient()` does not run. */
const noLoop = ({ path }: { path: string }) => Deno.remove(`${path}/agent.lock`);

testFaults([
  {
    name: "a service that is masked",
    plant: () => ({ files: { [unitFile]: null }, links: { [unitFile]: "/dev/null" } }),
    check: "service",
    state: "warning",
    saw: /decnet-agent\.service is masked: the service runs, and may not be started again/,
    mend: () => `systemctl unmask decnet-agent && ${install}`,
    code: 1,
  },
  {
    name: "a packaged service that is masked until the next start of the host",
    plant: () => ({
      files: {
        [unitFile]: null,
        [packagedUnit]: program,
        "/run/systemd/units/invocation:decnet-agent.service": null,
      },
      links: { "/run/systemd/system/decnet-agent.service": "/dev/null" },
    }),
    check: "service",
    state: "warning",
    saw: /\/run\/systemd\/system\/decnet-agent\.service is masked: the service may not be started/,
    mend: () => `systemctl unmask --runtime decnet-agent && ${start}`,
    code: 1,
  },
  {
    name: "a service whose program is gone",
    plant: () => ({ files: { [unitFile]: program } }),
    check: "service",
    state: "warning",
    saw:
      /decnet-agent\.service has the service run \/usr\/local\/bin\/decnet-agent, which does not/,
    mend: () => install,
    code: 1,
  },
  {
    name: "a service whose program is a text",
    plant: () => ({ files: { [unitFile]: program, "/usr/local/bin/decnet-agent": "" } }),
    check: "service",
    state: "warning",
    saw: /has the service run \/usr\/local\/bin\/decnet-agent, which is no program/,
    mend: () => install,
    code: 1,
  },
  {
    name: "a timer that nobody has enabled, where nothing else checks",
    plant: async (setup) => {
      await noLoop(setup);
      return { files: { [unitFile]: null, [timer]: "" } };
    },
    check: "service",
    state: "warning",
    saw: /not installed; decnet-agent-check\.timer is installed, but does not start with the host/,
    mend: () => "systemctl enable --now decnet-agent-check.timer",
    code: 1,
  },
]);

Deno.test("doctor names the drop-in that has the service run what is not there, and its mend", () =>
  withPatient(async (setup) => {
    const dropIn = `${unitFile}.d/own.conf`;
    const text = "[Service]\nExecStart=\nExecStart=/nowhere/decnet-agent\n";
    const { saw, mend } = (await examineHost(setup, {
      files: { [unitFile]: program, [dropIn]: text },
    })).of("service");
    assert.match(
      saw,
      /own\.conf has the service run \/nowhere\/decnet-agent, which does not exist/,
    );
    const [edit, rest] = (mend ?? "").split("' ");
    assert.equal(edit, "sed -i '/^[ \\t]*ExecStart[ \\t]*=/d");
    assert.ok(rest?.endsWith(`${dropIn} && ${start}`), rest);
  }));

Deno.test("doctor takes a timer that starts with the host for one that runs checks", () =>
  withPatient(async (setup) => {
    await noLoop(setup);
    const wanted = timer.replace("system/", "system/timers.target.wants/");
    const files = { [unitFile]: null, [timer]: "", [wanted]: "" };
    const { state, saw } = (await examineHost(setup, { files })).of("service");
    assert.equal(state, "ok");
    assert.match(saw, /decnet-agent-check\.timer runs checks, unless it was stopped/);
  }));

Deno.test("doctor knows, as root, the groups that the unit gives to the service", () =>
  withPatient(async (setup) => {
    const { socketPath } = setup.engine;
    await Deno.chown(socketPath, 0, 991);
    await Deno.chmod(socketPath, 0o660);
    const unit = "[Service]\nUser=decnet-agent\n";
    const stateOf = async (groups: string) =>
      (await examineHost(setup, { files: { [unitFile]: unit + groups } })).of("socket").state;
    assert.equal(await stateOf("SupplementaryGroups=docker\n"), "ok");
    assert.equal(await stateOf("SupplementaryGroups=kvm 991\n"), "ok");
    assert.equal(await stateOf("SupplementaryGroups=docker\nSupplementaryGroups=\n"), "failed");
  }));
