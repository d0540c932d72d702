import type { Preview } from "../../apply/applier.ts";
import { type Changes, findChanges, findRemovals, type ImageIds } from "../../topology/changes.ts";
import { driftKinds, findDrift } from "../../topology/drift.ts";
import {
  type ContainerInfo,
  imageLabel,
  type Inventory,
  type NetworkInfo,
  topologyLabel,
} from "../../topology/inventory.ts";
import {
  defaultPlanOptions,
  type Plan,
  planDocument,
  type PlannedContainer,
  type PlannedNetwork,
  planTopology,
  publishedBy,
} from "../../topology/plan.ts";
import { decky, lan, topology } from "./topology.ts";

/** The LANs `dmz` and `inner`; the deckies `web`, on both, with two services, and `db` with one. */
export const plan: Plan = await planTopology(
  topology({
    lans: [
      lan("Dmz", { subnet: "10.1.0.0/24" }),
      lan("inner", { subnet: "10.2.0.0/24", isDmz: false }),
    ],
    deckies: [
      decky("web", {
        services: ["http", "ssh"],
        addresses: { Dmz: "10.1.0.5", inner: "10.2.0.5" },
      }),
      decky("db", { services: ["sql"], addresses: { inner: "10.2.0.6" } }),
    ],
  }),
  defaultPlanOptions,
);
/** Its id. */
export const id = plan.topologyId;
const prefix = `decnet_t_${id}_`;

/** The full name of a LAN, a decky or a service. */
export function full(short: string): string {
  return prefix + short;
}

/** The planned network with a short name. */
export function plannedNetwork(short: string): PlannedNetwork {
  return plan.networks.find(({ name }) => name === full(short))!;
}

/** The planned container with a short name. */
export function plannedContainer(short: string): PlannedContainer {
  return plan.containers.find(({ name }) => name === full(short))!;
}

function imageIdOf(name: string): string {
  return `sha256:${name}`;
}

/** Image name → id, for every image of a plan. */
export function imagesOf({ containers }: Plan): Map<string, string | null> {
  return new Map(containers.map(({ request: { Image } }) => [Image, imageIdOf(Image)]));
}

/** The network that the engine makes from a planned one. */
export function madeNetwork({ name, subnet, internal, request }: PlannedNetwork): NetworkInfo {
  const labels = new Map(Object.entries(request.Labels));
  return { id: `id of ${name}`, name, driver: "bridge", internal, subnets: [subnet], labels };
}

/** The running container that the engine makes from a planned one. */
export function madeContainer(planned: PlannedContainer): ContainerInfo {
  const { name, base, addressByNetwork, request } = planned;
  const labels = { ...request.Labels, [imageLabel]: imageIdOf(request.Image) };
  return {
    id: `id of ${name}`,
    name,
    state: "running",
    unhealthy: false,
    uptime: { atLeast: 60, atMost: 120 },
    publishedPorts: publishedBy(planned),
    labels: new Map(Object.entries(labels)),
    image: request.Image,
    imageId: imageIdOf(request.Image),
    networkMode: base === null ? request.HostConfig.NetworkMode : `container:id of ${base}`,
    addressByNetwork,
  };
}

/** The objects that the engine makes from a plan. */
export function made({ networks, containers }: Plan): Inventory {
  return { networks: networks.map(madeNetwork), containers: containers.map(madeContainer) };
}

/** The engine's own network. */
export const bridge: NetworkInfo = {
  id: "id of bridge",
  name: "bridge",
  driver: "bridge",
  internal: false,
  subnets: ["172.17.0.0/16"],
  labels: new Map(),
};

const asApplied = made(plan);

/** The network of the plan with a short name, as it is after an apply. */
export function networkOf(short: string): NetworkInfo {
  return asApplied.networks.find(({ name }) => name === full(short))!;
}

/** The container of the plan with a short name, as it is after an apply. */
export function containerOf(short: string): ContainerInfo {
  return asApplied.containers.find(({ name }) => name === full(short))!;
}

/** Short name → what differs from the plan; null for an object that does not exist. */
export type Otherwise = Readonly<Record<string, Partial<NetworkInfo & ContainerInfo> | null>>;

/** The objects after an apply of the plan, with differences and with more objects. */
export function inventory(
  otherwise: Otherwise = {},
  { networks = [], containers = [] }: Partial<Inventory> = {},
): Inventory {
  const changed = <T extends NetworkInfo | ContainerInfo>(existing: readonly T[]) =>
    existing.flatMap((actual): T[] => {
      const change = otherwise[actual.name.replace(prefix, "")];
      return change === null ? [] : [{ ...actual, ...change } as T];
    });
  return {
    networks: [...changed(asApplied.networks), ...networks],
    containers: [...changed(asApplied.containers), ...containers],
  };
}

/** The labels of an object with one added or replaced; removed when `value` is null. */
export function relabelled(short: string, label: string, value: string | null) {
  const labels = new Map((networkOf(short) ?? containerOf(short)).labels);
  if (value === null) labels.delete(label);
  else labels.set(label, value);
  return { labels };
}

/** A container that was made from an older image of the same name. */
export function ofOldImage(short: string): Partial<ContainerInfo> {
  return { ...relabelled(short, imageLabel, "sha256:old"), imageId: "sha256:old" };
}

/** A container of an image that `docker commit` made of another container, and so with its labels. */
export function copyOf(short: string): ContainerInfo {
  const ownNetwork = { networkMode: "none", addressByNetwork: new Map() };
  const own = { id: "copy", name: "analysis", image: "evidence:1", imageId: "sha256:committed" };
  return { ...containerOf(short), ...own, ...ownNetwork };
}

/** Only the label of a topology. */
export function labelledFor(topologyId: string) {
  return { labels: new Map([[topologyLabel, topologyId]]) };
}
/** Only the label of another topology. */
export const ofAnother = labelledFor("another");
/** No label. */
export const unlabelled = { labels: new Map<string, string>() };

/** A container that does not run: it has no addresses, but the names of its networks. */
export function idle(short: string, state: string): Partial<ContainerInfo> {
  const { addressByNetwork } = withoutAddresses(containerOf(short));
  return { state, addressByNetwork };
}

/** The engine forgets the addresses of a container that does not run. */
export function withoutAddresses(container: ContainerInfo): ContainerInfo {
  const addresses = [...container.addressByNetwork.keys()].map((name) => [name, ""] as const);
  return { ...container, addressByNetwork: new Map(addresses) };
}

/** Changes as `action type name: reason` with short names, then obstacles. */
function linesOf({ networks, containers, obstacles }: Changes): string[] {
  const types = [["network", networks], ["container", containers]] as const;
  const lines = types.flatMap(([type, changes]) =>
    changes.map((it) => {
      const { name } = it.action === "remove" ? it.actual : it.planned;
      return `${it.action} ${type} ${name}: ${it.reason}`;
    })
  );
  return [...lines, ...obstacles.map((it) => `obstacle: ${it}`)]
    .map((line) => line.replaceAll(prefix, ""));
}

/** The changes of an apply, as lines. */
export function changesOf(
  existing: Inventory,
  { plan: wanted = plan, imageIds = imagesOf(wanted) }: { plan?: Plan; imageIds?: ImageIds } = {},
): string[] {
  return linesOf(findChanges(wanted, existing, imageIds));
}

/** The obstacles of an apply, as lines. */
export function obstaclesOf(...given: Parameters<typeof changesOf>): string[] {
  return changesOf(...given).filter((line) => line.startsWith("obstacle"));
}

/** The changes of a teardown, as lines without the reason, which is the same for all. */
export function removalsOf(
  existing: Inventory,
  target: Partial<Parameters<typeof findRemovals>[0]> = {},
): string[] {
  return linesOf(findRemovals({ topologyId: id, plan, ...target }, existing))
    .map((line) => line.replace(/: teardown$/, ""));
}

/** The differences, as `kind type name: detail` with short names. */
export function driftOf(existing: Inventory, wanted: Plan | null = plan): string[] {
  const drift = findDrift(wanted, existing);
  return driftKinds.flatMap((kind) =>
    drift[kind].map(({ type, name, detail }) =>
      `${kind} ${type} ${name}${detail && `: ${detail}`}`.replaceAll(prefix, "")
    )
  );
}

/** The lines that recreate containers. */
export function remade(reasons: Readonly<Record<string, string>>): string[] {
  return Object.entries(reasons).flatMap(([name, reason]) => [
    `remove container ${name}: ${reason}`,
    `create container ${name}: ${reason}`,
  ]);
}

/** The lines that recreate the base `web` and its services. */
export function webRemade(reason: string): string[] {
  const baseRecreated = "its base is recreated";
  return remade({ web: reason, "web-http": baseRecreated, "web-ssh": baseRecreated });
}

/** The plan of a document of one LAN and one decky. */
export const oneLan: Plan = await planDocument(
  Deno.readTextFileSync(new URL("../data/topology-one-lan.json", import.meta.url)),
  defaultPlanOptions,
);

/** Two LANs; a decky on both with two services, one with none. */
export const larger: Plan = await planTopology(
  topology({
    lans: [lan("dmz"), lan("Office", { subnet: "10.0.1.0/24", isDmz: false })],
    deckies: [
      decky("gate", {
        addresses: { dmz: "10.0.0.2", Office: "10.0.1.2" },
        services: ["ssh", "http"],
        images: { http: "nginx:1.27" },
      }),
      decky("desk", { addresses: { Office: "10.0.1.3" } }),
    ],
  }),
  defaultPlanOptions,
);

/** The version hash of previewed documents. */
export const previewHash = "0123456789abcdef".repeat(4);

/** The preview of an apply; all images exist. */
export function previewOf(plan: Plan, inventory: Inventory, more: Partial<Preview> = {}): Preview {
  const changes = findChanges(plan, inventory, imagesOf(plan));
  const validated = { text: "{}", versionHash: previewHash, plan };
  const removals: Changes = { networks: [], containers: [], obstacles: [] };
  return { validated, removals, changes, conflict: null, ...more };
}
