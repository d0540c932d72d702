import assert from "node:assert/strict";
import { parseArguments } from "../../cli/args.ts";
import { explainConfiguration } from "../../cli/doctor.ts";
import { DoctorContext } from "../../doctor/context.ts";
import { checks, examine, exitCodeOf, type Finding } from "../../doctor/doctor.ts";
import { readService } from "../../doctor/unit.ts";
import { AgentSetup } from "./agent_setup.ts";
import { flagsOf } from "./command_line.ts";
import { assertNoSecrets } from "./secrets.ts";

/** How the host differs from one on which all is well. */
export interface HostOptions {
  readonly flags?: readonly string[];
  /** The text of /etc/decnet/decnet.ini, or null. */
  readonly ini?: string | null;
  /** The user who runs the doctor; the service's user is 990, root 0. */
  readonly uid?: number;
  /** Files of the system: path → text; null for one that is absent. */
  readonly files?: Readonly<Record<string, string | null>>;
  /** Modes of some of these files. */
  readonly modes?: Readonly<Record<string, number>>;
  /** Links of the system: path → where it leads. */
  readonly links?: Readonly<Record<string, string>>;
  /** How long the master has to refuse worker.crt, in milliseconds. */
  readonly settleMs?: number;
  readonly otherStateDirectories?: readonly string[];
  /** Where an engine may listen; else as configured. */
  readonly sockets?: readonly string[];
  /** The path of the executable. */
  readonly program?: string;
}

/** What the doctor has found. */
class Report {
  constructor(readonly findings: readonly Finding[]) {}

  get code(): number {
    return exitCodeOf(this.findings);
  }

  /** The names of the checks with this state. */
  names(state: string): string[] {
    return this.findings.filter(({ result }) => result.state === state)
      .map(({ check }) => check.name);
  }

  /** What one check has found: the state, what was seen, how to fix it. */
  of(name: string): { state: string; details: string; fix: string | null } {
    const finding = this.findings.find(({ check }) => check.name === name);
    assert.ok(finding, `there is no check ${name}`);
    const { result } = finding;
    return { ...result, details: result.details.join("; ") };
  }
}

/** The unit, as far as the doctor reads it. */
export const unitFile = "/etc/systemd/system/decnet-agent.service";

const system: Readonly<Record<string, string | null>> = {
  "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\ndecnet-agent:x:990:990::/:/bin/false\n",
  "/etc/group": "root:x:0:\ndocker:x:991:alice\ndecnet-agent:x:990:\n",
  [unitFile]: "[Service]\n",
  "/etc/systemd/system/multi-user.target.wants/decnet-agent.service": "",
  "/run/systemd/units/invocation:decnet-agent.service": "",
  "/run/systemd/units/invocation:ssh.service": "",
};

/** What makes `system` a host without systemd. */
export const noSystemd: Readonly<Record<string, null>> = Object.fromEntries(
  Object.keys(system).filter((path) => path.includes("systemd")).map((path) => [path, null]),
);

/** A host whose service is active, unless told otherwise. */
export async function contextOf(
  setup: AgentSetup,
  {
    flags = flagsOf(setup),
    ini = null,
    uid = 0,
    files = {},
    modes = {},
    links = {},
    program = "/usr/local/bin/decnet-agent",
    sockets,
    ...others
  }: HostOptions = {},
): Promise<DoctorContext> {
  const root = `${setup.path}/system-${crypto.randomUUID()}`;
  const parentOf = (path: string) => `${root}${path.replace(/\/[^/]*$/, "")}`;
  for (const [path, text] of Object.entries({ ...system, ...files })) {
    if (text === null) continue;
    await Deno.mkdir(parentOf(path), { recursive: true });
    await Deno.writeTextFile(`${root}${path}`, text, { mode: modes[path] ?? 0o644 });
  }
  for (const [path, target] of Object.entries(links)) {
    await Deno.mkdir(parentOf(path), { recursive: true });
    await Deno.symlink(target, `${root}${path}`);
  }
  const service = readService(root);
  const environment = {
    variable: () => undefined,
    readFile: () => ini,
    exists: () => ini !== null,
    isRoot: uid === 0,
    program,
    isServiceActive: service.isActive,
  };
  const config = explainConfiguration(
    parseArguments(["doctor", ...flags]).values,
    null,
    environment,
  );
  if (sockets) Object.assign(config.configuration.agent, { sockets });
  return new DoctorContext({
    config,
    versions: { agent: "1", date: null, deno: "2", sqlite: "3" },
    settleMs: 50,
    service,
    uid,
    root,
    signal: new AbortController().signal,
    ...others,
  });
}

/** Runs all checks on a host. */
export async function examineHost(setup: AgentSetup, options?: HostOptions): Promise<Report> {
  const context = await contextOf(setup, options);
  const report = new Report(await Array.fromAsync(examine(context, checks)));
  assertNoSecrets(JSON.stringify(report.findings));
  for (const { check, result } of report.findings) {
    const fix = normalise(setup, result.fix);
    assert.doesNotMatch(fix, forbidden, check.name);
    if (!context.hasSystemd) assert.doesNotMatch(fix, /systemctl|timedatectl/, check.name);
  }
  return report;
}

/** Commands that no fix may hold, and names that come from Docker or a peer. */
const forbidden = new RegExp([
  "\\b(docker|podman) \\w",
  "\\b(rm|kill|pkill|truncate|sed) -",
  "(usermod|chown|setfacl) -\\w+ \\w",
  "fuser -k",
  "decnet_t_\\w",
  "master\\.test",
  "[0-9a-f]{64}",
].join("|"));

/** Runs a test on a host on which a topology is applied and an agent holds its lock. */
export async function withContext(test: (setup: AgentSetup) => Promise<void>): Promise<void> {
  await using setup = await AgentSetup.create();
  setup.apply();
  await Deno.writeTextFile(`${setup.path}/agent.lock`, lockText);
  await test(setup);
}

/** The text of the lock file of an agent that runs. */
export const lockText =
  `process ${Deno.pid} since 2026-11-22T18:00:00.000Z for the agent of version 1\n`;

/** A planted fault: what is broken, and what the doctor must report. */
interface Fault {
  readonly name: string;
  /** Breaks something; returns how the host is looked at then. */
  readonly plant: (setup: AgentSetup) => Promise<HostOptions | void> | HostOptions | void;
  /** The check and its state: `lock: warning`. */
  readonly finding: string;
  readonly details: RegExp;
  /** With `PATH` for the folder of the host, `PORT` for the master's port, `FLAGS` for the flags. */
  readonly fix: string;
  /** The exit code; not given: that of this finding alone. */
  readonly code?: number;
}

/** The flags of a host but for one key. */
export function without(setup: AgentSetup, key: string): string[] {
  return flagsOf(setup).filter((flag) => !flag.startsWith(`--${key}=`));
}

/** The flags of a host with another value for a key. */
export function withFlag(setup: AgentSetup, key: string, value: string): string[] {
  return [...without(setup, key), `--${key}=${value}`];
}

/** The user of the service. */
export const service = 990;
/** Where a refusal is to come, it may take its time. */
export const unhurried: HostOptions = { settleMs: 10_000 };

/** How the stored topology is applied again. */
export const applyAgain =
  "apply the stored topology again: /usr/local/bin/decnet-agent apply --stored FLAGS";

/** What follows a change of a file that the service has read. */
export const reload = " && systemctl reload decnet-agent";

/** Replaces what differs from host to host in a fix. */
export function normalise(setup: AgentSetup, fix: string | null): string {
  return (fix ?? "").replaceAll(/(?<= )--[\w-]+=.*/g, "FLAGS")
    .replaceAll(new RegExp(`${setup.path}/system-[\\w-]+`, "g"), "ROOT")
    .replaceAll(setup.path, "PATH").replaceAll(String(setup.port), "PORT");
}

/** A test for each fault. */
export function testFaults(faults: readonly Fault[]): void {
  for (const { name, plant, finding, details, fix, code } of faults) {
    Deno.test(`doctor reports ${name}`, () =>
      withContext(async (setup) => {
        const report = await examineHost(setup, await plant(setup) ?? {});
        const [check = "", state] = finding.split(": ");
        const found = report.of(check);
        assert.equal(found.state, state, found.details);
        assert.match(found.details, details);
        assert.equal(normalise(setup, found.fix), fix);
        const own = state === "warning" ? 1 : checks.find(({ name }) => name === check)!.code;
        assert.equal(report.code, code ?? own, JSON.stringify(report.findings));
      }));
  }
}
