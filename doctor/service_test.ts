import assert from "node:assert/strict";
import {
  examineHost,
  service,
  testFaults,
  unitFile,
  withContext,
  withFlag,
  without,
} from "../tests/support/doctor_setup.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { programOf, readUnit } from "./service_files.ts";

Deno.test("readUnit() reads drop-ins by their names, and one name from the first folder only", async () => {
  using folder = new TemporaryFolder();
  const write = async (path: string, text: string) => {
    await Deno.mkdir(`${folder.path}${path.replace(/\/[^/]*$/, "")}`, { recursive: true });
    await Deno.writeTextFile(`${folder.path}${path}`, text);
  };
  await write(
    "/usr/lib/systemd/system/a.service",
    "User=base\nGroups=one\nGroups = two\n#User=x\n",
  );
  await write("/run/systemd/system/a.service.d/10.conf", "User=ten\nGroups=\nGroups=three\n");
  await write("/etc/systemd/system/a.service.d/20.conf", "User=twenty\n");
  await write("/usr/lib/systemd/system/a.service.d/20.conf", "User=hidden\n");
  await write("/etc/systemd/system/a.service.d/30.conf.old", "User=old\n");
  const unit = await readUnit(folder.path, "a.service");
  assert.equal(unit?.path, `${folder.path}/usr/lib/systemd/system/a.service`);
  assert.equal(unit.last("User")?.value, "twenty");
  assert.equal(unit.last("User")?.file, `${folder.path}/etc/systemd/system/a.service.d/20.conf`);
  assert.deepEqual(unit.all("Groups").map(({ value }) => value), ["three"]);
  assert.equal(unit.last("Absent"), null);
  assert.equal(await readUnit(folder.path, "b.service"), null);
});

Deno.test("programOf() reads a command line of a unit, as far as it can be known", () => {
  const cases: [command: string, path: string | null][] = [
    ["/usr/bin/a --once", "/usr/bin/a"],
    ["-@/usr/bin/a b", "/usr/bin/a"],
    [':"/opt/a b/$c" --once', "/opt/a b/$c"],
    ["/opt/50%%/a", "/opt/50%/a"],
    ["/opt/%n/a", null],
    ["/opt/%%%n", null],
    ["decnet-agent --once", null],
    ["", null],
  ];
  for (const [command, path] of cases) assert.equal(programOf(command), path, command);
});

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
    details: /decnet-agent\.service is masked: the service runs, and may not be started again/,
    fix: () => `systemctl unmask decnet-agent && ${install}`,
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
    details:
      /\/run\/systemd\/system\/decnet-agent\.service is masked: the service may not be started/,
    fix: () => `systemctl unmask --runtime decnet-agent && ${start}`,
    code: 1,
  },
  {
    name: "a service whose program is gone",
    plant: () => ({ files: { [unitFile]: program } }),
    check: "service",
    state: "warning",
    details:
      /decnet-agent\.service has the service run \/usr\/local\/bin\/decnet-agent, which does not/,
    fix: () => install,
    code: 1,
  },
  {
    name: "a service whose program is a text",
    plant: () => ({ files: { [unitFile]: program, "/usr/local/bin/decnet-agent": "" } }),
    check: "service",
    state: "warning",
    details: /has the service run \/usr\/local\/bin\/decnet-agent, which is no program/,
    fix: () => install,
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
    details:
      /not installed; decnet-agent-check\.timer is installed, but does not start with the host/,
    fix: () => "systemctl enable --now decnet-agent-check.timer",
    code: 1,
  },
]);

Deno.test("doctor names the drop-in that has the service run what is not there, and its mend", () =>
  withContext(async (setup) => {
    const dropIn = `${unitFile}.d/own.conf`;
    const text = "[Service]\nExecStart=\nExecStart=/nowhere/decnet-agent\n";
    const { details, fix } = (await examineHost(setup, {
      files: { [unitFile]: program, [dropIn]: text },
    })).of("service");
    assert.match(
      details,
      /own\.conf has the service run \/nowhere\/decnet-agent, which does not exist/,
    );
    const [edit, rest] = (fix ?? "").split("' ");
    assert.equal(edit, "sed -i '/^[ \\t]*ExecStart[ \\t]*=/d");
    assert.ok(rest?.endsWith(`${dropIn} && ${start}`), rest);
  }));

Deno.test("doctor takes a timer that starts with the host for one that runs checks", () =>
  withContext(async (setup) => {
    await noLoop(setup);
    const wanted = timer.replace("system/", "system/timers.target.wants/");
    const files = { [unitFile]: null, [timer]: "", [wanted]: "" };
    const { state, details } = (await examineHost(setup, { files })).of("service");
    assert.equal(state, "ok");
    assert.match(details, /decnet-agent-check\.timer runs checks, unless it was stopped/);
  }));

Deno.test("doctor knows, as root, the groups that the unit gives to the service", () =>
  withContext(async (setup) => {
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

const all = "BUNDLE/ca.crt BUNDLE/worker.crt BUNDLE/worker.key";
const packaged = { [unitFile]: "[Service]\nUser=decnet-agent\n" };

testFaults([
  {
    name: "a folder of certificates that does not exist",
    plant: (setup) => ({ flags: withFlag(setup, "agent-dir", `${setup.path}/none`) }),
    check: "certificates",
    state: "failed",
    details: /none\/ca\.crt: no such file/,
    fix: ({ path }) => `install -D -m 600 -t ${path}/none ${all}`,
    code: 3,
  },
  {
    name: "an absent key of the service's user",
    plant: async ({ path }) => {
      await Deno.remove(`${path}/worker.key`);
      return { files: packaged };
    },
    check: "certificates",
    state: "failed",
    details: /worker\.key: no such file/,
    fix: ({ path }) => `install -o decnet-agent -m 600 BUNDLE/worker.key ${path}/`,
    code: 3,
  },
  {
    name: "a host without the unit and without its user",
    plant: async ({ path }) => {
      await Deno.remove(`${path}/agent.lock`);
      return { files: { [unitFile]: null, "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n" } };
    },
    check: "service",
    state: "warning",
    details: /is not installed, and no loop runs/,
    fix: () =>
      "useradd --system --user-group --groups docker --home-dir /nonexistent --no-create-home " +
      "--shell /usr/sbin/nologin decnet-agent && decnet-agent print systemd-service > " +
      "/etc/systemd/system/decnet-agent.service && systemctl enable --now decnet-agent",
    code: 1,
  },
]);

Deno.test("doctor sends the certificates where the service finds them, not into a home", () =>
  withContext(async (setup) => {
    const flags = without(setup, "agent-dir");
    const installing = `install -D -o decnet-agent -m 600 -t /etc/decnet/agent ${all}`;
    const active = `${installing} && systemctl restart decnet-agent`;
    for (const uid of [0, service]) {
      const report = await examineHost(setup, { flags, uid, files: packaged });
      assert.equal(report.of("certificates").fix, active);
    }
    const files = { [unitFile]: null, "/run/systemd/units/invocation:decnet-agent.service": null };
    const report = await examineHost(setup, { flags, uid: service, files });
    const own = `install -D -o decnet-agent -m 600 -t /.decnet/agent ${all}`;
    assert.equal(report.of("certificates").fix, own);
  }));
