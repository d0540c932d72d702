/** What Docker may hold of the topology of one LAN, for tests of drift. */

import { readTopology } from "../topology/document.ts";
import { type Drift, driftKinds, findDrift } from "../topology/drift.ts";
import {
  type ContainerFact,
  type Inventory,
  type NetworkFact,
  topologyLabel,
} from "../topology/inventory.ts";
import { parseJson } from "../topology/json.ts";
import { defaultImages, type Plan, planTopology } from "../topology/plan.ts";

const file = new URL("./data/topology-one-lan.json", import.meta.url);
/** What the document of one LAN with one decky is in Docker. */
export const plan: Plan = await planTopology(
  readTopology(parseJson(Deno.readTextFileSync(file))),
  defaultImages,
);
/** The names of its objects. */
export const lan = "decnet_t_11111111_lan-00";
export const base = "decnet_t_11111111_decky-001";
export const service = "decnet_t_11111111_decky-001-ssh";

const labels = new Map([[topologyLabel, "11111111-2222-3333-4444-555555555555"]]);
/** What exists when all is as applied. */
export const network: NetworkFact = {
  id: "a".repeat(64),
  name: lan,
  driver: "bridge",
  internal: false,
  subnets: ["10.0.0.0/24"],
  labels,
};
export const baseContainer: ContainerFact = {
  id: "b".repeat(64),
  name: base,
  state: "running",
  unhealthy: false,
  uptime: null,
  labels,
  networkMode: lan,
  addressByNetwork: new Map([[lan, "10.0.0.2"]]),
};
export const serviceContainer: ContainerFact = {
  ...baseContainer,
  id: "5".repeat(64),
  name: service,
  networkMode: `container:${baseContainer.id}`,
  addressByNetwork: new Map(),
};
export const asApplied: Inventory = {
  networks: [network],
  containers: [baseContainer, serviceContainer],
};

/** The drift in short, `kind type name: detail` for each difference. */
export function told(drift: Drift): string[] {
  return driftKinds.flatMap((kind) =>
    drift[kind].map(({ type, name, detail }) => `${kind} ${type} ${name}${detail && `: ${detail}`}`)
  );
}

/** The drift, in short, when other objects exist. */
export function toldOf(changed: Partial<Inventory>): string[] {
  return told(findDrift(plan, { ...asApplied, ...changed }));
}

/** The drift, in short, when one object is otherwise. */
export function withBase(change: Partial<ContainerFact>): string[] {
  return toldOf({ containers: [{ ...baseContainer, ...change }, serviceContainer] });
}

export function withService(change: Partial<ContainerFact>): string[] {
  return toldOf({ containers: [baseContainer, { ...serviceContainer, ...change }] });
}

export function withNetwork(change: Partial<NetworkFact>): string[] {
  return toldOf({ networks: [{ ...network, ...change }] });
}
