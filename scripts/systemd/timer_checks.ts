import assert from "node:assert/strict";
import { eventually } from "../../tests/real/waiting.ts";
import type { Check } from "./check.ts";
import type { Machine } from "./machine.ts";
import { Service } from "./service.ts";

const timer = "decnet-agent-check.timer";
const unit = "decnet-agent-check.service";

/** What the timer and its service are there for, beside a loop that runs. */
export const timerChecks: readonly Check[] = [
  {
    name: "the timer has the host checked every five minutes",
    async run({ machine }) {
      const times = "OnCalendar=*:0/5";
      const { stdout } = await machine.run(["systemctl", "cat", timer]);
      assert.ok(stdout.includes(`\n${times}\n`), stdout);
      await machine.run(["systemctl", "start", timer]);
      const next = await nextRun(machine);
      const minutes = (next - Date.now()) / 60_000;
      await machine.run(["systemctl", "stop", timer]);
      // Up to five until the next mark of the clock, and four more by which hosts differ.
      assert.ok(minutes > 0 && minutes < 9.1, String(minutes));
      return `the next in ${minutes.toFixed(1)} min`;
    },
  },
  {
    name: "what the timer starts is a check, beside the loop, and succeeds",
    async run({ machine }) {
      const check = new Service(machine, unit);
      // Every other second instead; and 1 is for what others have left on this engine.
      await machine.run(["mkdir", "-p", `/run/systemd/system/${timer}.d`]);
      const timing = "[Timer]\nOnCalendar=\nOnCalendar=*:*:0/2\nRandomizedDelaySec=0\n";
      const dropIn = machine.path(`/run/systemd/system/${timer}.d/check.conf`);
      await Deno.writeTextFile(dropIn, timing);
      return await check.with(["SuccessExitStatus=1"], async () => {
        await machine.run(["systemctl", "start", timer]);
        try {
          const line = await eventually("two checks", async () => {
            const lines = (await check.journal()).match(/^DECNET .*$/gm) ?? [];
            return lines[1];
          });
          assert.match(line, /^DECNET (OK|WARNING) - .*\bnetworks=\d+ .*\bmaster=\d/);
          assert.equal(await check.property("Result"), "success");
          return line;
        } finally {
          await machine.run(["systemctl", "stop", timer]);
          await Deno.remove(dropIn);
        }
      });
    },
  },
  {
    name: "a check that finds Docker gone fails, so that OnFailure= can tell",
    async run({ machine }) {
      const check = new Service(machine, unit);
      return await check.with(["InaccessiblePaths=/run/docker.sock"], async () => {
        await assert.rejects(check.start());
        const code = await check.property("ExecMainStatus");
        assert.deepEqual([await check.property("Result"), code], ["exit-code", "2"]);
        return (await check.journal()).match(/^DECNET CRITICAL .*$/m)![0];
      });
    },
  },
];

/** When the timer elapses, in milliseconds since 1970. */
async function nextRun(machine: Machine): Promise<number> {
  const show = ["systemctl", "show", "--value", "-p", "NextElapseUSecRealtime", timer] as const;
  const { stdout } = await machine.run(["env", "TZ=UTC", ...show]);
  const [, date, time] = stdout.trim().split(" ");
  return Date.parse(`${date}T${time}Z`);
}
