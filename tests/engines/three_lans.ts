import { type Drift, driftKinds, findDrift } from "../../topology/drift.ts";
import { type Json, parseJson } from "../../topology/json.ts";
import type { Plan } from "../../topology/plan.ts";
import type { DockerSandbox } from "./sandbox.ts";

const documentUrl = new URL("../data/topology-three-lans.json", import.meta.url);

/** The document of three LANs, with an id and subnets of the sandbox's own. */
export function threeLansDocument(sandbox: DockerSandbox): Json {
  const text = Deno.readTextFileSync(documentUrl)
    .replaceAll("7c9e6679", sandbox.tag)
    .replace(/\b10\.77\.(\d)\.0\/24/g, (_, number) => sandbox.subnet(Number(number)))
    .replace(/\b10\.77\.(\d)\.(\d+)/g, (_, number, host) => {
      return sandbox.address(Number(number), Number(host));
    });
  return parseJson(text);
}

/** Compares what bears the sandbox's prefix with a plan, or with nothing. */
export async function driftOf(sandbox: DockerSandbox, plan: Plan | null): Promise<Drift> {
  const prefixes = [`decnet_t_${sandbox.tag}_`];
  const { inventory } = await sandbox.observe({
    networkPrefixes: prefixes,
    containerPrefixes: prefixes,
  });
  return findDrift(plan, inventory);
}

/** Writes differences as `kind name: detail`. */
export function driftLines(drift: Drift): string[] {
  return driftKinds.flatMap((kind) =>
    drift[kind].map(({ name, detail }) => `${kind} ${name}${detail && `: ${detail}`}`)
  );
}
