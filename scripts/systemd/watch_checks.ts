import assert from "node:assert/strict";
import { eventually } from "../../tests/real/waiting.ts";
import type { Check } from "./check.ts";

/** The longest that it may take to stop, in milliseconds. */
const stopMs = 2_000;

/** How systemd looks after the service. */
export const watchChecks: readonly Check[] = [
  {
    name: "it feeds the watchdog, which kills it when it hangs, and it is started again",
    run: async (site) =>
      await site.service.with(["WatchdogSec=3s", "RestartSec=100ms"], async () => {
        const { service, machine } = site;
        await service.start();
        const fedAt = Number(await service.property("WatchdogTimestampMonotonic"));
        await service.until("WatchdogTimestampMonotonic", (at) => Number(at) > fedAt);
        assert.equal(await service.property("NRestarts"), "0");
        const pid = await service.property("MainPID");
        await machine.run(["kill", "-STOP", pid]);
        await service.until("NRestarts", (count) => count === "1");
        await service.until("ActiveState", (state) => state === "active");
        assert.notEqual(await service.property("MainPID"), pid);
        const reason = /^.*Watchdog timeout.*$/m.exec(await service.journal())?.[0];
        assert.ok(reason);
        return reason;
      }),
  },
  {
    name: "it is started again when it is killed",
    run: async ({ service, machine }) =>
      await service.with(["RestartSec=100ms"], async () => {
        await service.start();
        await machine.run(["kill", "-KILL", await service.property("MainPID")]);
        await service.until("NRestarts", (count) => count === "1");
        await service.until("ActiveState", (state) => state === "active");
        return "once";
      }),
  },
  {
    name: `it stops within ${stopMs / 1000} s, and cleanly`,
    async run({ service }) {
      await service.start();
      const startedAt = performance.now();
      await service.stop();
      const ms = performance.now() - startedAt;
      assert.ok(ms <= stopMs, `${ms} ms`);
      // The two come to the journal on different ways.
      await eventually("a clean end in the journal", async () => {
        const [, last = ""] = (await service.journal()).split(/^[^]*msg=started/m);
        const isClean = last.includes("msg=stopped") && last.includes("Deactivated successfully");
        return isClean || undefined;
      });
      return `${Math.round(ms)} ms`;
    },
  },
  {
    name: "when it has stopped, nothing of it is left in /tmp",
    async run({ machine }) {
      const find = ["find", "/tmp", "/var/tmp", "-mindepth", "1", "-user", "decnet-agent"] as const;
      assert.equal((await machine.run([...find])).stdout, "");
      const folders = (await machine.run(["ls", "/tmp", "/var/tmp"])).stdout;
      assert.doesNotMatch(folders, /decnet/);
      return "nothing";
    },
  },
];
