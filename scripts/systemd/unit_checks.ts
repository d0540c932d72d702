import assert from "node:assert/strict";
import type { Check } from "./check.ts";

const unit = "/etc/systemd/system/decnet-agent.service";

/** The most that the unit may be exposed, from 0 to 10. */
const maximumExposure = 1.5;

/** What can be said of the unit before it has been started. */
export const unitChecks: readonly Check[] = [
  {
    name: "systemd finds no fault with the unit",
    async run({ machine }) {
      const { stdout, stderr } = await machine.run(["systemd-analyze", "verify", unit]);
      assert.equal(stdout + stderr, "");
      return (await machine.run(["systemctl", "--version"])).stdout.split("\n")[0]!;
    },
  },
  {
    name: `the unit's exposure is at most ${maximumExposure}`,
    async run({ machine }) {
      const score = ["systemd-analyze", "security", "--no-pager", "--offline=true", unit] as const;
      const { stdout } = await machine.run(score);
      const exposure = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1];
      assert.ok(exposure, stdout);
      assert.ok(Number(exposure) <= maximumExposure, stdout);
      return exposure;
    },
  },
];
