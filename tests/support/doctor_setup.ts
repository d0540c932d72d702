import assert from "node:assert/strict";
import { parseArguments } from "../../cli/args.ts";
import { explainConfiguration } from "../../cli/doctor.ts";
import { DoctorContext } from "../../doctor/context.ts";
import { checks, examine, exitCodeOf, type Finding } from "../../doctor/doctor.ts";
import { readService } from "../../doctor/service_files.ts";
import { AgentSetup } from "./agent_setup.ts";
import { flagsOf } from "./command_line.ts";
import { assertNoSecrets } from "./secrets.ts";

/** How the host differs from one on which all is well. */
export interface HostOptions {
  readonly flags?: readonly string[];
  /** The text of /etc/decnet/decnet.ini, or null. */
  readonly ini?: string | null;
  /** Who looks; the service's user is 990, root 0. */
  readonly uid?: number;
  /** Files of the system: path → text; null for one that is absent. */
  readonly files?: Readonly<Record<string, string | null>>;
  /** Links of the system: path → where it leads. */
  readonly links?: Readonly<Record<string, string>>;
  /** How long the master has to refuse worker.crt, in milliseconds. */
  readonly settleMs?: number;
  readonly otherStateDirectories?: readonly string[];
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

  /** What one check has found, as text: the state, what was seen, the mend. */
  of(name: string): { state: string; details: string; fix: string | null } {
    const finding = this.findings.find(({ check }) => check.name === name);
    assert.ok(finding, `there is no check ${name}`);
    const { result } = finding;
    const fix = "fix" in result ? result.fix : null;
    return { state: result.state, details: result.details.join("; "), fix };
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

/** Lets the doctor look at a host whose service is active, unless told otherwise. */
export async function examineHost(
  setup: AgentSetup,
  { flags = flagsOf(setup), ini = null, uid = 0, files = {}, links = {}, ...others }: HostOptions =
    {},
): Promise<Report> {
  const root = `${setup.path}/system-${crypto.randomUUID()}`;
  const parentOf = (path: string) => `${root}${path.replace(/\/[^/]*$/, "")}`;
  for (const [path, text] of Object.entries({ ...system, ...files })) {
    if (text === null) continue;
    await Deno.mkdir(parentOf(path), { recursive: true });
    await Deno.writeTextFile(`${root}${path}`, text);
  }
  for (const [path, target] of Object.entries(links)) {
    await Deno.mkdir(parentOf(path), { recursive: true });
    await Deno.symlink(target, `${root}${path}`);
  }
  const { configuration, ...explanation } = explainConfiguration(
    parseArguments(["doctor", ...flags]).values,
    null,
    {
      variable: () => undefined,
      readFile: () => ini,
      exists: () => ini !== null,
      isRoot: uid === 0,
      isServiceActive: (await readService(root)).isActive,
    },
  );
  const context = new DoctorContext({
    ...explanation,
    agent: configuration.agent,
    listen: configuration.listen,
    textfile: configuration.textfile,
    intervalMs: configuration.intervalMs,
    versions: { agent: "1", deno: "2", sqlite: "3" },
    settleMs: 50,
    uid,
    root,
    signal: new AbortController().signal,
    ...others,
  });
  const report = new Report(await Array.fromAsync(examine(context, checks)));
  assertNoSecrets(JSON.stringify(report.findings));
  return report;
}

/** Runs a test on a host on which a topology is applied and a loop holds its lock. */
export async function withContext(test: (setup: AgentSetup) => Promise<void>): Promise<void> {
  await using setup = await AgentSetup.create();
  setup.apply();
  await Deno.writeTextFile(`${setup.path}/agent.lock`, lockText);
  await test(setup);
}

/** What the file of a lock tells of a holder that is there. */
export const lockText = `process ${Deno.pid} since 2026-11-22T18:00:00.000Z for the loop\n`;

/** A planted fault: what is broken, and how the doctor must speak of it. */
interface Fault {
  readonly name: string;
  /** Breaks something; answers how the host is looked at then. */
  readonly plant: (setup: AgentSetup) => Promise<HostOptions | void> | HostOptions | void;
  readonly check: string;
  readonly state: "warning" | "failed";
  readonly details: RegExp;
  readonly fix: (setup: AgentSetup) => string;
  readonly code: number;
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
/** How the agent of a host is called, by a doctor that was given all of its flags. */
export function lineOf(setup: AgentSetup, ...words: string[]): string {
  return ["decnet-agent", ...words, ...flagsOf(setup)].join(" ");
}
/** What applies once more what the store of a host holds. */
export function applyAgain(setup: AgentSetup): string {
  return lineOf(setup, "apply", "--stored");
}

/** What follows a change of a file that the service has read. */
export const reload = " && systemctl reload decnet-agent";

/** A test for each fault. */
export function testFaults(faults: readonly Fault[]): void {
  for (const { name, plant, check, state, details, fix, code } of faults) {
    Deno.test(`doctor names ${name}, and its mend`, () =>
      withContext(async (setup) => {
        const report = await examineHost(setup, await plant(setup) ?? {});
        const finding = report.of(check);
        assert.equal(finding.state, state, finding.details);
        assert.match(finding.details, details);
        const wanted = fix(setup);
        // Where the mend ends in what is only known when it has happened, its beginning counts.
        const said = wanted.endsWith("=") ? finding.fix?.slice(0, wanted.length) : finding.fix;
        assert.equal(said, wanted);
        assert.equal(report.code, code, JSON.stringify(report.findings));
      }));
  }
}
