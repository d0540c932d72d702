import { type Check, failed, ok, skipped } from "../check.ts";
import { oursOf } from "../../docker/mod.ts";
import { engineUnit } from "./socket.ts";

/** Whether the engine answers, and which it is. */
export const engine: Check = {
  name: "engine",
  code: 2,
  async run(patient) {
    const found = await patient.engine();
    if ("error" in found) {
      if (!found.isReached) return skipped("its socket cannot be used");
      return failed(found.error, `systemctl restart ${engineUnit(found.socket ?? "")}`);
    }
    const { version, apiVersion, latencyMs } = found.observation.engine;
    const { inventory } = found.observation;
    const { networks, containers } = oursOf(inventory, patient.options.agent);
    return ok(
      `version ${version ?? "unknown"}, API ${apiVersion ?? "unknown"}, ` +
        `answered in ${Math.round(latencyMs)} ms`,
      `${networks.length} networks and ${containers.length} containers are ours`,
    );
  },
};
