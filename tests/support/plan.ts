import type { Preview } from "../../apply/applier.ts";
import {
  type Changes,
  findChanges,
  findRemovals,
  type HostConstraints,
  type TeardownTarget,
} from "../../topology/changes.ts";
import {
  type ContainerInfo,
  imageLabel,
  type Inventory,
  type NetworkInfo,
  topologyLabel,
} from "../../topology/inventory.ts";
import {
  defaultImages,
  type Plan,
  type PlannedContainer,
  type PlannedNetwork,
  planTopology,
} from "../../topology/plan.ts";
import { decky, lan, topology } from "./topology.ts";

/** A plan of two LANs, what the engine holds once it is applied, and what an apply then changes. */

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
  defaultImages,
);
/** Its id. */
export const id = plan.topologyId;
const prefix = `decnet_t_${id}_`;

/** The full name of a LAN, a decky or a service. */
export function full(short: string): string {
  return prefix + short;
}

/** A planned object by its short name. */
export function plannedNetwork(short: string): PlannedNetwork {
  return plan.networks.find(({ name }) => name === full(short))!;
}
export function plannedContainer(short: string): PlannedContainer {
  return plan.containers.find(({ name }) => name === full(short))!;
}

/** The id of an image. */
function imageIdOf(name: string): string {
  return `sha256:${name}`;
}

/** Every image of a plan, present. */
export function imagesOf({ containers }: Plan): Map<string, string | null> {
  return new Map(containers.map(({ request: { Image } }) => [Image, imageIdOf(Image)]));
}

/** The network that the engine makes when it is asked for a planned one. */
export function madeNetwork({ name, subnet, internal, request }: PlannedNetwork): NetworkInfo {
  return {
    id: `id of ${name}`,
    name,
    driver: "bridge",
    internal,
    subnets: [subnet],
    labels: new Map(Object.entries(request.Labels)),
  };
}

/** The container that runs when the engine has been asked for a planned one. */
export function madeContainer(planned: PlannedContainer): ContainerInfo {
  const { name, base, addressByNetwork, request } = planned;
  const labels = { ...request.Labels, [imageLabel]: imageIdOf(request.Image) };
  return {
    id: `id of ${name}`,
    name,
    state: "running",
    unhealthy: false,
    uptime: { atLeast: 60, atMost: 120 },
    labels: new Map(Object.entries(labels)),
    networkMode: base === null ? request.HostConfig.NetworkMode : `container:id of ${base}`,
    addressByNetwork,
  };
}

/** The engine's own network, which is always there. */
export const bridge: NetworkInfo = {
  id: "id of bridge",
  name: "bridge",
  driver: "bridge",
  internal: false,
  subnets: ["172.17.0.0/16"],
  labels: new Map(),
};

/** What exists when the plan has been applied, besides the engine's own network. */
export const asApplied: Inventory = {
  networks: [bridge, ...plan.networks.map(madeNetwork)],
  containers: plan.containers.map(madeContainer),
};

/** What is otherwise with an object, by its short name; null when it is absent. */
export type Otherwise = Readonly<Record<string, Partial<NetworkInfo & ContainerInfo> | null>>;

/** What exists when the plan has been applied and objects are otherwise, absent, or more of them. */
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

/** The labels of an object with some of them otherwise, or absent. */
export function relabelled(short: string, change: Record<string, string | null>) {
  const actual = [...asApplied.networks, ...asApplied.containers]
    .find(({ name }) => name === full(short))!;
  const labels = new Map(actual.labels);
  for (const [label, value] of Object.entries(change)) {
    if (value === null) labels.delete(label);
    else labels.set(label, value);
  }
  return { labels };
}

/** The label of another topology, and nothing else. */
export const ofAnother = { labels: new Map([[topologyLabel, "another"]]) };
/** No label. */
export const unlabelled = { labels: new Map<string, string>() };

/** The changes in short: `action type name: reason` for each, then the obstacles. */
function told({ networks, containers, obstacles }: Changes): string[] {
  const line = (
    type: string,
    { action, reason }: { action: string; reason: string },
    name: string,
  ) => `${action} ${type} ${name.replace(prefix, "")}: ${reason}`;
  return [
    ...networks.map((it) =>
      line("network", it, it.action === "remove" ? it.actual.name : it.planned.name)
    ),
    ...containers.map((it) =>
      line("container", it, it.action === "remove" ? it.actual.name : it.planned.name)
    ),
    ...obstacles.map((it) => `obstacle: ${it.replaceAll(prefix, "")}`),
  ];
}

/** What an apply would do, in short. */
export function changesOf(
  existing: Inventory,
  { plan: wanted = plan, ...around }: Partial<HostConstraints & { plan: Plan }> = {},
): string[] {
  const constraints = { imageIds: imagesOf(wanted), hostAddresses: [], ...around };
  return told(findChanges(wanted, existing, constraints));
}

/** What a teardown would do, in short, without the reason, which is the same for all. */
export function removalsOf(
  existing: Inventory,
  remembered: Partial<TeardownTarget> = {},
): string[] {
  const known = { topologyId: id, plan, wasApplied: true, ...remembered };
  return told(findRemovals(known, existing)).map((line) => line.replace(/: teardown$/, ""));
}

/** The lines that recreate containers. */
export function remade(reasons: Readonly<Record<string, string>>): string[] {
  return Object.entries(reasons).flatMap(([name, reason]) => [
    `remove container ${name}: ${reason}`,
    `create container ${name}: ${reason}`,
  ]);
}

/** A container that does not run has lost its addresses, and keeps the names of its networks. */
export function idle(short: string, state: string): Partial<ContainerInfo> {
  const { addressByNetwork } = asApplied.containers.find(({ name }) => name === full(short))!;
  return { state, addressByNetwork: new Map([...addressByNetwork].map(([name]) => [name, ""])) };
}

/** The lines that recreate the base `web` and its services. */
export function webRemade(reason: string): string[] {
  return remade({
    web: reason,
    "web-http": "its base is recreated",
    "web-ssh": "its base is recreated",
  });
}

/** What an apply would do, for tests of how it is shown. */

const nothing: Changes = { networks: [], containers: [], obstacles: [] };

/** Two LANs; a decky on both with two services, one with none. */
export const larger = await planTopology(
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
  defaultImages,
);

/** The version hash of the documents that are previewed. */
export const previewHash = "0123456789abcdef".repeat(4);

/** What an apply of a plan would do where so much exists, and all images. */
export function previewOf(plan: Plan, inventory: Inventory, more: Partial<Preview> = {}): Preview {
  const changes = findChanges(plan, inventory, { imageIds: imagesOf(plan), hostAddresses: [] });
  const validated = { text: "{}", versionHash: previewHash, plan };
  return { validated, removals: nothing, changes, conflict: null, ...more };
}

/** What an apply of a plan has made. */
export function made({ networks, containers }: Plan): Inventory {
  return { networks: networks.map(madeNetwork), containers: containers.map(madeContainer) };
}
