import assert from "node:assert/strict";
import type { AgentSetup } from "./agent_setup.ts";
import { flagsOf } from "./command_line.ts";
import { examineHost, type HostOptions, withPatient } from "./doctor_setup.ts";

/** A planted fault: what is broken, and how the doctor must speak of it. */
export interface Fault {
  readonly name: string;
  /** Breaks something; answers how the host is looked at then. */
  readonly plant: (setup: AgentSetup) => Promise<HostOptions | void> | HostOptions | void;
  readonly check: string;
  readonly state: "warning" | "failed";
  readonly saw: RegExp;
  readonly mend: (setup: AgentSetup) => string;
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
  for (const { name, plant, check, state, saw, mend, code } of faults) {
    Deno.test(`doctor names ${name}, and its mend`, () =>
      withPatient(async (setup) => {
        const report = await examineHost(setup, await plant(setup) ?? {});
        const finding = report.of(check);
        assert.equal(finding.state, state, finding.saw);
        assert.match(finding.saw, saw);
        const wanted = mend(setup);
        // Where the mend ends in what is only known when it has happened, its beginning counts.
        const said = wanted.endsWith("=") ? finding.mend?.slice(0, wanted.length) : finding.mend;
        assert.equal(said, wanted);
        assert.equal(report.code, code, JSON.stringify(report.findings));
      }));
  }
}
