import { describeDrift, type KnownDrift } from "../../agent/mod.ts";
import { oursOf } from "../../docker/mod.ts";
import { unknownDocument } from "../../store/mod.ts";
import { findDrift, planDocument, topologyLabel } from "../../topology/mod.ts";
import { type Check, ok, skipped, warning } from "../check.ts";
import { quote } from "../files.ts";
import { applyAgain } from "./store.ts";

/** Whether Docker is as it was applied. */
export const drift: Check = {
  name: "drift",
  code: 2,
  async run(patient) {
    const [engine, stored] = await Promise.all([patient.engine(), patient.store()]);
    if ("error" in engine) return skipped("the engine does not answer");
    if (stored.state !== "read" && stored.state !== "absent") {
      return skipped("the store was not read");
    }
    const applied = stored.state === "read" ? stored.applied : null;
    const inventory = oursOf(engine.observation.inventory, patient.options.agent);
    let found: KnownDrift;
    try {
      if (applied?.document === unknownDocument) return skipped("the store holds no document");
      const { images } = patient.options.agent;
      const plan = applied && await planDocument(applied.document, images);
      found = findDrift(plan, inventory);
    } catch (error) {
      found = { state: "unknown", detail: (error as Error).message };
    }
    const text = describeDrift(found);
    if (text === null) {
      return ok(applied ? "Docker is as applied" : "nothing is applied, nothing runs");
    }
    if (applied) return warning(text, await applyAgain(patient));
    const labelled = [...inventory.containers, ...inventory.networks]
      .map(({ labels }) => labels.get(topologyLabel)).find((id) => id !== undefined);
    const saw = [
      `nothing is applied, but there is: ${text}`,
      "where it should stay, apply it again, as a master does by itself; this removes it",
    ];
    if (labelled !== undefined && /^[\w.-]+$/.test(labelled)) {
      return warning(saw, await patient.command("teardown", labelled));
    }
    const [container] = inventory.containers;
    const remove = container && `docker rm -f ${quote(container.name)}`;
    return warning(saw, remove ?? await patient.command("state"));
  },
};
