import { type Check, ok, warning } from "../check.ts";
import { describeHolder, readLivingHolder } from "../holder.ts";
import { endCommand } from "./lock.ts";

/** Whether another agent reports for this host, or changes its Docker. */
export const otherAgents: Check = {
  name: "other-agents",
  code: 3,
  async run(patient) {
    const { otherStateDirectories = [] } = patient.options;
    for (const folder of otherStateDirectories) {
      if (folder === patient.stateDirectory) continue;
      const path = `${folder}/agent.lock`;
      const holder = await readLivingHolder(path);
      if (!holder) continue;
      return warning(
        `another loop: ${describeHolder(holder, path)}; two of them report twice, and apply twice`,
        endCommand(path),
      );
    }
    const { others } = await patient.service();
    return ok(
      others.length === 0
        ? "none in the usual state folders, none among the active units"
        : `none in the usual state folders; active units: ${others.join(", ")}`,
      "the list of processes is hidden from the agent by its runtime",
    );
  },
};
