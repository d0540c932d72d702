import assert from "node:assert/strict";
import type { Check } from "./check.ts";

const folder = "/etc/systemd/system";
const services = [
  `${folder}/decnet-agent.service`,
  `${folder}/decnet-agent-check.service`,
] as const;
const units = [...services, `${folder}/decnet-agent-check.timer`] as const;

/** The most that the unit may be exposed, from 0 to 10. */
const maximumExposure = 1.5;

/** What can be said of the units before they have been started. */
export const unitChecks: readonly Check[] = [
  {
    name: "the units that the executable prints are those of packaging/",
    async run({ machine }) {
      for (const path of units) {
        const name = path.slice(folder.length + 1);
        const expected = new URL(`../../packaging/${name}`, import.meta.url);
        // Where two are printed, an empty line is between them.
        const printed = (await Deno.readTextFile(machine.path(path))).trimEnd();
        assert.equal(printed, (await Deno.readTextFile(expected)).trimEnd());
      }
      return `${units.length} units`;
    },
  },
  {
    name: "systemd finds no fault with the unit",
    async run({ machine }) {
      const { stdout, stderr } = await machine.run(["systemd-analyze", "verify", ...units]);
      assert.equal(stdout + stderr, "");
      return (await machine.run(["systemctl", "--version"])).stdout.split("\n")[0]!;
    },
  },
  {
    name: `the unit's exposure is at most ${maximumExposure}`,
    async run({ machine }) {
      const exposures = [];
      for (const unit of services) {
        const options = ["--no-pager", "--offline=true"];
        const { stdout } = await machine.run(["systemd-analyze", "security", ...options, unit]);
        const exposure = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1];
        assert.ok(exposure, stdout);
        assert.ok(Number(exposure) <= maximumExposure, stdout);
        exposures.push(exposure);
      }
      return exposures.join(" and ");
    },
  },
];
