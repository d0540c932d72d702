import assert from "node:assert/strict";
import { TopologyStore } from "../store/topology_store.ts";
import {
  examineHost,
  lineOf,
  lockText,
  reload,
  service,
  testFaults,
  unitFile,
  withContext,
  withFlag,
  without,
} from "../tests/support/doctor_setup.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { requirement, works } from "../tests/support/requirements.ts";
import { judgeClock } from "./certificates.ts";
import {
  type Check,
  type DoctorContext,
  failed,
  ok,
  type Result,
  skipped,
  warning,
} from "./context.ts";
import { examine, exitCodeOf } from "./doctor.ts";
import { endCommand } from "./store.ts";

const nobody = {
  options: { lineOf: (...words: string[]) => ["agent", ...words].join(" ") },
} as unknown as DoctorContext;

function check(name: string, run: Check["run"], code: 2 | 3 = 2): Check {
  return { name, code, run };
}

Deno.test("examine() gives what is found in the order of the checks, whoever is done first", async () => {
  const { promise, resolve } = Promise.withResolvers<Result>();
  const checks = [
    check("slow", () => promise),
    check("fast", () => {
      resolve(ok("slow"));
      return ok("fast");
    }),
  ];
  const findings = await Array.fromAsync(examine(nobody, checks));
  assert.deepEqual(findings.map(({ result }) => result.details), [["slow"], ["fast"]]);
});

Deno.test("examine() takes a check that throws, or that has no end, for failed", async () => {
  const checks = [
    check("broken", () => {
      throw new Error("no idea");
    }),
    check("hung", () => new Promise<Result>(() => {})),
    check("well", () => ok("well")),
  ];
  const findings = await Array.fromAsync(examine(nobody, checks, 50));
  const [broken, hung, well] = findings.map(({ result }) => result);
  assert.deepEqual(broken?.details, ["Cannot look at it: no idea"]);
  assert.equal(broken?.state, "failed");
  assert.equal("fix" in broken! && broken.fix, "agent --once --json");
  assert.match(hung?.details[0] ?? "", /^no result within 0\.05 s/);
  assert.equal(hung?.state, "failed");
  assert.equal(well?.state, "ok");
});

Deno.test("exitCodeOf() is that of the worst", () => {
  const finding = (result: Result, code: 2 | 3 = 2) => ({
    check: check("it", () => result, code),
    result,
  });
  const fine = [finding(ok("")), finding(skipped(""))];
  const warned = finding(warning("", "x"), 3);
  assert.equal(exitCodeOf(fine), 0);
  assert.equal(exitCodeOf([...fine, warned]), 1);
  assert.equal(exitCodeOf([warned, finding(failed("", "x"))]), 2);
  assert.equal(exitCodeOf([finding(failed("", "x"), 3), finding(failed("", "x"))]), 3);
});

Deno.test("judgeClock() does not believe in times before the agent was written", () => {
  assert.equal(judgeClock(Date.UTC(2026, 0, 1)).state, "ok");
  assert.deepEqual(judgeClock(0), {
    state: "failed",
    details: [
      "it is 1970-01-01T00:00:00Z by this host's clock, which cannot be: no certificate is valid then",
    ],
    fix: "timedatectl set-ntp true",
  });
});

testFaults([
  {
    name: "a wrong value in the ini file",
    plant: () => ({ ini: "# ours\n[agent]\ninterval = 5 minutes\n" }),
    check: "configuration",
    state: "failed",
    details:
      /interval: '5 minutes' \(from \/etc\/decnet\/decnet\.ini line 3\) must be a time from 5s/,
    fix: () => `vi +3 /etc/decnet/decnet.ini${reload}`,
    code: 3,
  },
  {
    name: "an ini file that cannot be understood",
    plant: () => ({ ini: "[agent]\nmaster\n" }),
    check: "configuration",
    state: "failed",
    details: /Cannot read \/etc\/decnet\/decnet\.ini: line 2 is neither/,
    fix: () => `vi +2 /etc/decnet/decnet.ini${reload}`,
    code: 3,
  },
  {
    name: "an unknown key in the ini file",
    plant: () => ({ ini: "[agent]\nmaster-hosts = m\n" }),
    check: "configuration",
    state: "warning",
    details: /line 2: unknown key 'master-hosts' is ignored/,
    fix: () => `vi +2 /etc/decnet/decnet.ini${reload}`,
    code: 1,
  },
  {
    name: "a wrong value beside a service that does not run",
    plant: () => ({
      ini: "[agent]\ninterval = 5 minutes\n",
      files: { "/run/systemd/units/invocation:decnet-agent.service": null },
    }),
    check: "configuration",
    state: "failed",
    details: /interval: /,
    fix: () => "vi +2 /etc/decnet/decnet.ini",
    code: 3,
  },
  {
    name: "a missing host-uuid",
    plant: (setup) => ({ flags: without(setup, "host-uuid"), ini: "[agent]\n" }),
    check: "configuration",
    state: "failed",
    details: /host-uuid: required with master-host, but not set/,
    fix: () => `sed -i '/^\\[agent\\]/a host-uuid = UUID' /etc/decnet/decnet.ini${reload}`,
    code: 3,
  },
]);

Deno.test("doctor finds nothing wrong where nothing is wrong", () =>
  withContext(async (setup) => {
    const report = await examineHost(setup);
    assert.deepEqual([...report.names("failed"), ...report.names("warning")], []);
    assert.deepEqual(report.names("skipped"), ["api", "textfile"]);
    assert.equal(report.code, 0);
  }));

/** A port that nobody has at this moment. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

testFaults([
  {
    name: "a loop that is not the service's",
    plant: () => ({ files: { "/run/systemd/units/invocation:decnet-agent.service": null } }),
    check: "lock",
    state: "warning",
    details:
      /none of decnet-agent\.service: another loop.*names process \d+ since 2026-11-22T18:00:00\.000Z/,
    fix: ({ path }) => endCommand(`${path}/agent.lock`),
    code: 1,
  },
  {
    name: "a service that is not active",
    plant: async ({ path }) => {
      await Deno.remove(`${path}/agent.lock`);
      return { files: { "/run/systemd/units/invocation:decnet-agent.service": null } };
    },
    check: "service",
    state: "warning",
    details: /decnet-agent\.service is installed, but not active/,
    fix: () => "systemctl enable --now decnet-agent",
    code: 1,
  },
  {
    name: "a service whose user was not made",
    plant: () => ({
      files: {
        [unitFile]: "[Service]\nUser=decnet-agent\n",
        "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
      },
    }),
    check: "service",
    state: "warning",
    details: /runs as decnet-agent, and there is no such user/,
    fix: () =>
      "useradd --system --user-group --groups docker --home-dir /nonexistent --no-create-home " +
      "--shell /usr/sbin/nologin decnet-agent",
    code: 1,
  },
  {
    name: "a host without the service",
    plant: async ({ path }) => {
      await Deno.remove(`${path}/agent.lock`);
      return { files: { [unitFile]: null } };
    },
    check: "service",
    state: "warning",
    details: /is not installed, and no loop runs/,
    fix: () =>
      "decnet-agent print systemd-service > /etc/systemd/system/decnet-agent.service && " +
      "systemctl enable --now decnet-agent",
    code: 1,
  },
  {
    name: "an apply that does not end",
    plant: ({ path }) =>
      Deno.writeTextFile(`${path}/apply.lock`, lockText.replace("2026-11", "2026-01")),
    check: "lock",
    state: "warning",
    details: /under way for over 10 minutes/,
    fix: ({ path }) => endCommand(`${path}/apply.lock`),
    code: 1,
  },
  {
    name: "another loop in another folder",
    plant: async ({ path }) => {
      await Deno.mkdir(`${path}/other`);
      await Deno.writeTextFile(`${path}/other/agent.lock`, lockText);
      return { otherStateDirectories: [path, `${path}/other`] };
    },
    check: "other-agents",
    state: "warning",
    details: /another loop: .*\/other\/agent\.lock names process \d+ since/,
    fix: ({ path }) => endCommand(`${path}/other/agent.lock`),
    code: 1,
  },
  {
    name: "an API that does not listen",
    plant: (setup) => ({ flags: withFlag(setup, "listen", `127.0.0.1:${freePort()}`) }),
    check: "api",
    state: "warning",
    details: /nobody listens there, although a loop runs/,
    fix: () => "systemctl restart decnet-agent",
    code: 1,
  },
  {
    name: "an address that is not this host's",
    plant: (setup) => ({ flags: withFlag(setup, "listen", "192.0.2.1:8765") }),
    check: "api",
    state: "warning",
    details: /192\.0\.2\.1:8765: this host has no such address/,
    fix: () => "start it with --listen=0.0.0.0:8765",
    code: 1,
  },
  {
    name: "another program in place of the API",
    plant: (setup) => ({ flags: withFlag(setup, "listen", `127.0.0.1:${setup.port}`) }),
    check: "api",
    state: "warning",
    details: /somebody with another certificate listens there/,
    fix: ({ port }) => `start it with --listen=127.0.0.1:${port + 1}`,
    code: 1,
  },
]);

const files = { [unitFile]: "[Service]\nUser=decnet-agent\n" };

Deno.test("doctor has root change a state of the service's user as that user", () =>
  withContext(async (setup) => {
    setup.engine.containers = [];
    const mendFor = async (uid: number) => {
      return (await examineHost(setup, { files, uid })).of("drift").fix;
    };
    const line = lineOf(setup, "apply", "--stored");
    assert.equal(await mendFor(0), line);
    await Deno.chown(setup.path, service, service);
    assert.equal(await mendFor(0), `runuser -u decnet-agent -- ${line}`);
    await Deno.chmod(setup.engine.socketPath, 0o666);
    await Deno.chown(setup.storePath, service, service);
    assert.equal(await mendFor(service), line);
  }));

const { ignore, suffix, check: checkDoctorReadOnly } = requirement(
  "unshare and the right to use it",
  await works("unshare", "--mount", "findmnt", "-T", "/"),
);

/** What the doctor says of the store, before its mend was carried out and afterwards. */
const script = `mount --bind $S $S && mount -o remount,ro,bind $S $S
$DOCTOR | tee $S.first; sh -c "$(sed -n '/^store /,/→/ s/.*→ //p' $S.first)"; $DOCTOR`;

Deno.test({
  name: `doctor mends a store on a file system that is read-only${suffix}`,
  ignore,
  async fn() {
    checkDoctorReadOnly();
    using folder = new TemporaryFolder();
    const S = `${folder.path}/state`;
    await Deno.mkdir(S, { mode: 0o700 });
    TopologyStore.open(`${S}/topology.db`).close();
    const main = new URL("../main.ts", import.meta.url).pathname;
    const { stdout, stderr } = await new Deno.Command("unshare", {
      args: ["--mount", "sh", "-c", script],
      env: {
        S,
        NO_COLOR: "1",
        DOCTOR: `${Deno.execPath()} run -A ${main} doctor --state-dir=${S}`,
      },
    }).output();
    const text = new TextDecoder().decode(stdout);
    const [before, after] = [...text.matchAll(/^store +(\w+)/gm)].map(([, state]) => state);
    assert.equal(before, "warning", text + new TextDecoder().decode(stderr));
    assert.ok(text.includes(`→ mount -o remount,rw "$(findmnt -n -o TARGET -T ${S})"`), text);
    assert.equal(after, "ok", text);
  },
});
