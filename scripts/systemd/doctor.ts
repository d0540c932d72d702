import assert from "node:assert/strict";
import { eventually } from "../../tests/real/waiting.ts";
import type { Machine } from "./machine.ts";
import { asUser } from "./user.ts";

/** What one of the doctor's checks has found. */
export interface Finding {
  readonly name: string;
  readonly state: string;
  readonly saw: string;
  readonly mend?: string;
}

/** `decnet-agent doctor` on a machine, as root unless told otherwise. */
export class Doctor {
  constructor(readonly machine: Machine, readonly isRoot = true) {}

  /** All findings, and the exit code, by `--json`. */
  async examine(): Promise<{ code: number; findings: Finding[] }> {
    const { code, stdout } = await this.#run("--json");
    const { exit_code, checks } = JSON.parse(stdout) as { exit_code: number; checks: Finding[] };
    assert.equal(exit_code, code);
    return { code, findings: checks };
  }

  /** The lines of the text that name a check. */
  async heads(): Promise<string[]> {
    return (await this.#run()).stdout.split("\n").filter((line) => /^\S/.test(line));
  }

  /** What one check finds. */
  async find(name: string): Promise<Finding> {
    const found = (await this.examine()).findings.find((it) => it.name === name);
    assert.ok(found, `there is no check ${name}`);
    return found;
  }

  /** Runs the very command that it named, as root, and waits until the check says that all is well. */
  async mend({ name, mend }: Finding): Promise<void> {
    assert.ok(mend, `${name} names no mend`);
    await this.machine.shell(mend);
    await eventually(`${name} in order after ${mend}`, async () => {
      return (await this.find(name)).state === "ok" || undefined;
    });
  }

  async #run(...flags: readonly string[]) {
    const command = ["decnet-agent", "doctor", ...flags] as const;
    const options = { accept: () => true };
    return this.isRoot
      ? await this.machine.run([...command], options)
      : await asUser(this.machine, command, options);
  }
}
