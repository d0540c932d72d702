import assert from "node:assert/strict";
import type { AgentSetup } from "../tests/support/agent_setup.ts";
import {
  applyAgain,
  examineHost,
  type HostOptions,
  lockText,
  normalise,
  service,
  testFaults,
  unitFile,
  withContext,
  withFlag,
} from "../tests/support/doctor_setup.ts";
import { makeFifo } from "../tests/support/requirements.ts";

const start = "systemctl enable --now decnet-agent";
const install = "/usr/local/bin/decnet-agent print install | sh";
const packagedUnit = "/usr/lib/systemd/system/decnet-agent.service";
const program = "[Service]\nExecStart=/usr/local/bin/decnet-agent\n";
/** Removes the lock of the agent of `withContext()`. */
const withoutAgent = (options: HostOptions) => async ({ path }: AgentSetup) => {
  await Deno.remove(`${path}/agent.lock`);
  return options;
};
const rootAlone = "root:x:0:0:root:/root:/bin/sh\n";

Deno.test("doctor names the drop-in with an absent program", () =>
  withContext(async (setup) => {
    const dropIn = `${unitFile}.d/own.conf`;
    const text = "[Service]\nExecStart=\nExecStart=/nowhere/decnet-agent\n";
    const report = await examineHost(setup, { files: { [unitFile]: program, [dropIn]: text } });
    const { details, fix } = report.of("service");
    assert.match(
      details,
      /own\.conf has the service run \/nowhere\/decnet-agent, which does not exist/,
    );
    assert.equal(
      normalise(setup, fix),
      `remove the lines with ExecStart from ROOT${dropIn}, then start it: ${start}`,
    );
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

const files = { [unitFile]: "[Service]\nUser=decnet-agent\n" };

Deno.test("doctor has the state changed as the service's user", () =>
  withContext(async (setup) => {
    setup.engine.containers = [];
    const fixFor = async (uid: number) =>
      normalise(setup, (await examineHost(setup, { files, uid })).of("drift").fix);
    assert.equal(await fixFor(0), applyAgain);
    await Deno.chown(setup.path, service, service);
    assert.equal(await fixFor(0), applyAgain.replace(":", ", as user decnet-agent:"));
    await Deno.chmod(setup.engine.socketPath, 0o666);
    await Deno.chown(setup.storePath, service, service);
    assert.equal(await fixFor(service), applyAgain);
  }));

/** The number of a process that has ended. */
async function endedProcess(): Promise<number> {
  const child = new Deno.Command("true").spawn();
  await child.status;
  return child.pid;
}

Deno.test("doctor says once that an agent's process is there", () =>
  withContext(async (setup) => {
    const { state, details } = (await examineHost(setup)).of("lock");
    const holder = lockText.trimEnd();
    const told = `${setup.path}/agent.lock names ${holder}, which is running`;
    assert.deepEqual({ state, details }, { state: "ok", details: told });
  }));

for (
  const [version, running] of [
    [" of version 0.9.9", "version 0.9.9"],
    [" of version 10", "version 10"],
    ["", "an older version"],
  ] as const
) {
  Deno.test(`doctor says that ${running} still runs after an upgrade`, () =>
    withContext(async (setup) => {
      const text = lockText.replace(/ of version \S+/, version);
      await Deno.writeTextFile(`${setup.path}/agent.lock`, text);
      const path = "/usr/local/bin/decnet-agent";
      const upgraded = { [unitFile]: program, [path]: "#!", "/tmp/new": "#!" };
      const modes = { [path]: 0o755 };
      const serviceFor = async (program: string) =>
        (await examineHost(setup, { files: upgraded, modes, program })).of("service");
      assert.deepEqual(await serviceFor(path), {
        state: "warning",
        details: `the running agent is ${running}, and ${path} is version 1`,
        fix: "restart the service: systemctl restart decnet-agent",
      });
      // A restart would not start the executable that is tried before an upgrade.
      assert.equal((await serviceFor("/tmp/new")).state, "ok");
      await Deno.writeTextFile(`${setup.path}/agent.lock`, lockText);
      assert.equal((await serviceFor(path)).state, "ok");
    }));
}

Deno.test("doctor takes no process that has ended for an agent or an apply", () =>
  withContext(async (setup) => {
    const pid = await endedProcess();
    const ended = lockText.replace(String(Deno.pid), String(pid));
    await Deno.mkdir(`${setup.path}/other`);
    for (const name of ["agent.lock", "apply.lock", "other/agent.lock"]) {
      await Deno.writeTextFile(`${setup.path}/${name}`, ended);
    }
    const report = await examineHost(setup, {
      flags: withFlag(setup, "listen", "127.0.0.1:1"),
      files: { "/run/systemd/units/invocation:decnet-agent.service": null },
      otherStateDirectories: [`${setup.path}/other`],
    });
    const was = `was held by ${ended.trimEnd()}`;
    assert.deepEqual(report.of("lock"), {
      state: "ok",
      details: `${setup.path}/agent.lock ${was}, which has ended; ` +
        `${setup.path}/apply.lock ${was}, which has ended`,
      fix: null,
    });
    assert.equal(report.of("other-agents").state, "ok");
    assert.match(report.of("api").details, /^no agent is running/);
    assert.match(report.of("service").details, /is installed, but not active/);
  }));

/** What a user who may write to the state folder can put in the place of a lock. */
const plants: Record<string, (path: string, secret: string) => Promise<void>> = {
  "a link to a file": (path, secret) => Deno.symlink(secret, path),
  "a link to a pipe": async (path) => {
    await makeFifo(`${path}.pipe`);
    await Deno.symlink(`${path}.pipe`, path);
  },
  "a link that leads nowhere": (path) => Deno.symlink("/nowhere/at/all", path),
  "a pipe": (path) => makeFifo(path),
  "a folder": (path) => Deno.mkdir(path),
};

for (const [what, plant] of Object.entries(plants)) {
  Deno.test(`doctor neither follows nor prints ${what} as a lock`, () =>
    withContext(async (setup) => {
      const secret = `${setup.path}/secret`;
      await Deno.writeTextFile(secret, lockText.replace("the loop", "hunter2"));
      await Deno.mkdir(`${setup.path}/other`);
      await plant(`${setup.path}/other/agent.lock`, secret);
      await Deno.remove(`${setup.path}/agent.lock`);
      for (const name of ["apply.lock", "agent.lock"]) {
        await plant(`${setup.path}/${name}`, secret);
        const report = await examineHost(setup, {
          otherStateDirectories: [`${setup.path}/other`],
        });
        assert.doesNotMatch(JSON.stringify(report.findings), /hunter2|2026-11-22T18/);
        assert.equal(report.of("other-agents").state, "ok");
        const { state, details, fix } = report.of("lock");
        assert.equal(state, "warning");
        assert.match(details, new RegExp(`${name} is not a regular file, so it cannot be locked`));
        const moved = `move it away: mv PATH/${name} PATH/${name}.old`;
        assert.equal(normalise(setup, fix), moved);
        await Deno.remove(`${setup.path}/${name}`, { recursive: true });
      }
    }));
}

Deno.test("doctor prints nothing of a lock file that no agent wrote", () =>
  withContext(async (setup) => {
    for (const text of ["hunter2", "process hunter2 since now for x\n", `${lockText}hunter2`]) {
      await Deno.writeTextFile(`${setup.path}/agent.lock`, text);
      const { findings } = await examineHost(setup);
      assert.doesNotMatch(JSON.stringify(findings), /hunter2/);
    }
  }));

testFaults([
  {
    name: "an agent that is not the service's",
    plant: () => ({ files: { "/run/systemd/units/invocation:decnet-agent.service": null } }),
    finding: "lock: warning",
    details:
      /none of decnet-agent\.service: another agent.*names process \d+ since 2026-11-22T18:00:00\.000Z/,
    fix: "check that this process is an agent, then stop it",
  },
  {
    name: "a service that is not active",
    plant: withoutAgent({ files: { "/run/systemd/units/invocation:decnet-agent.service": null } }),
    finding: "service: warning",
    details: /decnet-agent\.service is installed, but not active/,
    fix: `start the service: ${start}`,
  },
  {
    name: "a service whose user was not made",
    plant: () => ({
      files: { [unitFile]: "[Service]\nUser=decnet-agent\n", "/etc/passwd": rootAlone },
    }),
    finding: "service: warning",
    details: /runs as decnet-agent, and there is no such user/,
    fix: `install the service again: ${install}`,
  },
  {
    name: "an apply that does not end",
    plant: ({ path }) =>
      Deno.writeTextFile(`${path}/apply.lock`, lockText.replace("2026-11", "2026-01")),
    finding: "lock: warning",
    details: /running for over 10 minutes/,
    fix: "check that this process is an agent, then stop it",
  },
  {
    name: "another agent in another folder",
    plant: async ({ path }) => {
      await Deno.mkdir(`${path}/other`);
      await Deno.writeTextFile(`${path}/other/agent.lock`, lockText);
      return { otherStateDirectories: [path, `${path}/other`] };
    },
    finding: "other-agents: warning",
    details: /another agent: .*\/other\/agent\.lock names process \d+ since/,
    fix: "check that this process is an agent, then stop it",
  },
  {
    name: "a service that is masked",
    plant: () => ({ files: { [unitFile]: null }, links: { [unitFile]: "/dev/null" } }),
    finding: "service: warning",
    details: /decnet-agent\.service is masked: the service runs, and may not be started again/,
    fix: `remove the mask and start the service: systemctl unmask decnet-agent && ${install}`,
  },
  {
    name: "a packaged service that is masked until a reboot",
    plant: () => ({
      files: {
        [unitFile]: null,
        [packagedUnit]: program,
        "/run/systemd/units/invocation:decnet-agent.service": null,
      },
      links: { "/run/systemd/system/decnet-agent.service": "/dev/null" },
    }),
    finding: "service: warning",
    details:
      /\/run\/systemd\/system\/decnet-agent\.service is masked: the service may not be started/,
    fix: "remove the mask and start the service: systemctl unmask --runtime decnet-agent && " +
      "systemctl enable --now decnet-agent",
  },
  {
    name: "a service whose program is gone",
    plant: () => ({ files: { [unitFile]: program } }),
    finding: "service: warning",
    details:
      /decnet-agent\.service has the service run \/usr\/local\/bin\/decnet-agent, which does not/,
    fix: `install the service again: ${install}`,
  },
  {
    name: "a unit with a group that does not exist",
    plant: () => ({
      files: {
        [unitFile]: "[Service]\nSupplementaryGroups=docker\n",
        "/etc/group": "root:x:0:\n",
      },
    }),
    finding: "service: warning",
    details: /decnet-agent\.service adds group docker, and there is no such group/,
    fix: `install the service again: ${install}`,
  },
]);

/** Hosts without the service, and the command that installs it. */
const uninstalled: Record<string, readonly [host: HostOptions, command: string]> = {
  "a host without the service": [{ files: { [unitFile]: null } }, install],
  "a host with an empty unit file": [{ files: { [unitFile]: "" } }, install],
  "a host without the service, from a folder with a quote": [
    { files: { [unitFile]: null }, program: "/root/it's here/decnet-agent" },
    "'/root/it'\\''s here/decnet-agent' print install | sh",
  ],
};

testFaults(
  Object.entries(uninstalled).map(([name, [host, commands]]) => ({
    name,
    plant: withoutAgent(host),
    finding: "service: warning",
    details: /is not installed, and no agent is running/,
    fix: `install the service: ${commands}`,
  })),
);
