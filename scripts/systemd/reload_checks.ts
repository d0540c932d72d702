import assert from "node:assert/strict";
import type { Check } from "./check.ts";

/** What `systemctl reload` is there for. */
export const reloadChecks: readonly Check[] = [
  {
    name: "systemctl reload reaches it, confined as it is, and it goes on",
    async run(site) {
      const { machine, service } = site;
      const pid = await service.property("MainPID");
      assert.notEqual(pid, "0");
      await machine.run(["systemctl", "reload", service.unit]);
      // What has become of kill, which the confinement would not let run.
      assert.match(await service.property("ExecReload"), /; code=exited ; status=0 /);
      await site.beat("anything", () => true);
      assert.equal(await service.property("MainPID"), pid);
      return `process ${pid} beats on`;
    },
  },
];
