import assert from "node:assert/strict";
import type { AgentSetup } from "../tests/support/agent_setup.ts";
import {
  examineHost,
  type HostOptions,
  normalise,
  noSystemd,
  reload,
  testFaults,
  withContext,
  withFlag,
  without,
} from "../tests/support/doctor_setup.ts";
import { startMaster } from "../tests/support/master_setup.ts";
import { checkClock } from "./certificates.ts";
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

const context = {
  config: { lineOf: (...words: string[]) => ["agent", ...words].join(" ") },
} as unknown as DoctorContext;

function check(name: string, run: Check["run"], code: 2 | 3 = 2): Check {
  return { name, code, run };
}

Deno.test("examine() yields findings in the order of the checks", async () => {
  const { promise, resolve } = Promise.withResolvers<Result>();
  const checks = [
    check("slow", () => promise),
    check("fast", () => {
      resolve(ok("slow"));
      return ok("fast");
    }),
  ];
  const findings = await Array.fromAsync(examine(context, checks));
  assert.deepEqual(findings.map(({ result }) => result.details), [["slow"], ["fast"]]);
});

Deno.test("examine() fails a check that throws or never ends", async () => {
  const checks = [
    check("broken", () => {
      throw new Error("no idea");
    }),
    check("hung", () => new Promise<Result>(() => {})),
    check("well", () => ok("well")),
  ];
  const findings = await Array.fromAsync(examine(context, checks, 50));
  const [broken, hung, well] = findings.map(({ result }) => result);
  assert.deepEqual(broken?.details, ["Check failed: no idea"]);
  assert.equal(broken?.state, "failed");
  assert.equal(broken!.fix, "check the host without the doctor: agent --once --json");
  assert.match(hung?.details[0] ?? "", /^Check failed: no result within 0\.05 s/);
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

Deno.test("checkClock() does not believe in times before the agent was written", () => {
  const host = { withSystemd: (fix: string, command: string) => `${fix}: ${command}` };
  assert.equal(checkClock(host, Date.UTC(2026, 0, 1)).state, "ok");
  assert.deepEqual(checkClock(host, 0), {
    state: "failed",
    details: [
      "it is 1970-01-01T00:00:00Z by this host's clock, which cannot be right: no certificate is valid then",
    ],
    fix: "set the clock: timedatectl set-ntp true",
  });
});

Deno.test("doctor finds nothing wrong where nothing is wrong", () =>
  withContext(async (setup) => {
    const report = await examineHost(setup);
    assert.deepEqual([...report.names("failed"), ...report.names("warning")], []);
    assert.deepEqual(report.names("skipped"), ["log-listener", "api", "textfile"]);
    assert.equal(report.code, 0);
    assert.match(report.of("master").details, /, valid to \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ;/);
  }));

testFaults([
  {
    name: "a wrong value in the ini file",
    plant: () => ({ ini: "# ours\n[agent]\ninterval = 5 minutes\n" }),
    finding: "configuration: failed",
    details:
      /interval: '5 minutes' \(from \/etc\/decnet\/decnet\.ini line 3\) must be a time from 5s/,
    fix: `correct the line: vi +3 /etc/decnet/decnet.ini${reload}`,
  },
  {
    name: "a missing host-uuid",
    plant: (setup) => ({ flags: without(setup, "host-uuid"), ini: "[agent]\n" }),
    finding: "configuration: failed",
    details: /host-uuid: required with master-host, but not set/,
    fix: "set host-uuid to the id of this host at the master (in section [agent] of " +
      "/etc/decnet/decnet.ini), then: systemctl reload decnet-agent",
  },
  {
    name: "a missing syslog-port",
    plant: (setup) => ({ flags: withFlag(setup, "forward-logs", "true"), ini: "[agent]\n" }),
    finding: "configuration: failed",
    details: /syslog-port: required with forward-logs, but not set/,
    fix: "set syslog-port to the port of the master's log listener (in section [agent] of " +
      "/etc/decnet/decnet.ini), then: systemctl reload decnet-agent",
  },
]);

Deno.test("doctor puts no name from Docker, a peer or a lock into a command", () =>
  withContext(async (setup) => {
    const hostile = "$(reboot);";
    await Deno.remove(setup.storePath);
    for (const it of setup.engine.containers) it.Labels["decnet.topology.id"] = hostile;
    await Deno.writeTextFile(
      `${setup.path}/apply.lock`,
      `process ${Deno.pid} since 2026-01-01T00:00:00.000Z for ${hostile}\n`,
    );
    await Deno.writeTextFile(`${setup.storePath}.corrupt-${hostile}`, "");
    await using master = await startMaster({ certificate: { dnsNames: [hostile] } });
    const flags = withFlag(setup, "swarmctl-port", String(master.port));
    const { findings } = await examineHost(setup, { flags });
    for (const { check, result } of findings) {
      assert.ok(!result.fix?.includes(hostile), check.name);
    }
    const states = findings.map(({ check, result }) => `${check.name} ${result.state}`);
    assert.ok(states.includes("master failed") && states.includes("lock warning"));
  }));

/** Breaks something on a host without systemd; `expected` is the check and the fix that it names. */
function testWithoutSystemd(
  expected: string,
  plant: (
    setup: AgentSetup,
    stack: AsyncDisposableStack,
  ) => Promise<HostOptions | void> | HostOptions,
): void {
  const [name = ""] = expected.split(": ");
  Deno.test(`doctor names no command of systemd for ${name} without it`, () =>
    withContext(async (setup) => {
      await using stack = new AsyncDisposableStack();
      const report = await examineHost(setup, { ...await plant(setup, stack), files: noSystemd });
      assert.equal(report.of("service").details, "systemd does not run this host");
      assert.equal(`${name}: ${normalise(setup, report.of(name).fix)}`, expected);
    }));
}

testWithoutSystemd("socket: restart the engine", ({ engine }) => engine.stop());
testWithoutSystemd(
  "socket: remove the folder and restart the engine: rmdir PATH/docker.sock",
  async ({ engine }) => {
    await engine.stop();
    await Deno.mkdir(engine.socketPath);
  },
);
testWithoutSystemd(
  "master: renew the master's certificate; if this host's clock is wrong, set it",
  async ({ port, master }, stack) => {
    await master.stop();
    const certificate = { notAfter: new Date(Date.now() - 1_000) };
    stack.use(await startMaster({ certificate, port }));
  },
);
testWithoutSystemd(
  "api: restart the agent",
  (setup) => ({ flags: withFlag(setup, "listen", "127.0.0.1:1") }),
);
