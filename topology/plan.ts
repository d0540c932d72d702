import { type Decky, type Lan, readTopology, type Topology } from "./document.ts";
import { specLabel, topologyLabel } from "./inventory.ts";
import { compareCodePoints, parseJson } from "./json.ts";

/**
 * What the engine is asked for, as its API has it. The order of the fields counts: the digest of a
 * specification is taken over the text, and one that changed without need would make the next apply
 * of each host recreate everything.
 */

type Labels = Readonly<Record<string, string>>;

/** The body of `POST /networks/create`. */
export interface NetworkRequest {
  readonly Name: string;
  readonly CheckDuplicate: true;
  readonly Driver: "bridge";
  readonly Internal: boolean;
  readonly IPAM: {
    readonly Driver: "default";
    readonly Config: readonly [{ readonly Subnet: string }];
  };
  readonly Labels: Labels;
}

/** How a container is attached to a network. */
interface EndpointRequest {
  readonly IPAMConfig: { readonly IPv4Address: string };
}

/** The body of `POST /containers/create`; engines before API 1.44 take but one of the endpoints. */
export interface ContainerRequest {
  readonly Image: string;
  readonly Hostname?: string;
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly HostConfig: {
    readonly NetworkMode: string;
    readonly RestartPolicy: { readonly Name: "unless-stopped" };
    readonly LogConfig: typeof logConfig;
    readonly CapAdd?: readonly ["NET_ADMIN"];
    readonly Sysctls?: Readonly<Record<string, string>>;
  };
  readonly NetworkingConfig?: {
    readonly EndpointsConfig: Readonly<Record<string, EndpointRequest>>;
  };
  readonly Labels: Labels;
}

/** A decoy that is attacked for months must not fill the disk of its host. */
const logConfig = {
  Type: "json-file",
  Config: { "max-size": "10m", "max-file": "5" },
} as const;
const restartPolicy = { Name: "unless-stopped" } as const;

/** The request for a LAN's network. */
function networkRequest(
  { name, subnet, internal }: { name: string; subnet: string; internal: boolean },
  labels: Labels,
): NetworkRequest {
  return {
    Name: name,
    CheckDuplicate: true,
    Driver: "bridge",
    Internal: internal,
    IPAM: { Driver: "default", Config: [{ Subnet: subnet }] },
    Labels: labels,
  };
}

/** A base container: it does nothing but hold the decky's network. */
interface Base {
  /** The decky's name. */
  readonly name: string;
  readonly image: string;
  readonly addressByNetwork: ReadonlyMap<string, string>;
  readonly forwardsL3: boolean;
}

/** The request for a decky's base container. */
function baseRequest(base: Base, labels: Labels): ContainerRequest {
  const endpoints = [...base.addressByNetwork].map(([network, address]) =>
    [network, { IPAMConfig: { IPv4Address: address } }] as const
  );
  return {
    Image: base.image,
    Hostname: base.name,
    // Whatever the image would run of its own.
    Entrypoint: ["sleep"],
    Cmd: ["infinity"],
    HostConfig: {
      NetworkMode: endpoints[0]?.[0] ?? "none",
      RestartPolicy: restartPolicy,
      LogConfig: logConfig,
      CapAdd: ["NET_ADMIN"],
      ...(base.forwardsL3 ? { Sysctls: { "net.ipv4.ip_forward": "1" } } : {}),
    },
    NetworkingConfig: { EndpointsConfig: Object.fromEntries(endpoints) },
    Labels: labels,
  };
}

/** The request for a container that shares the network of `base`. */
function serviceRequest(
  { decky, image, base }: { decky: string; image: string; base: string },
  labels: Labels,
): ContainerRequest {
  return {
    Image: image,
    Env: [`HOSTNAME=${decky}`],
    HostConfig: {
      NetworkMode: `container:${base}`,
      RestartPolicy: restartPolicy,
      LogConfig: logConfig,
    },
    Labels: labels,
  };
}

/** The images that containers are made from where the document names none. */
export interface ImageNames {
  /** Of base containers. */
  readonly base: string;
  /** Of services; `{service}` in it stands for the service's name. */
  readonly service: string;
  /** Service name → its image, instead of that. */
  readonly byService: ReadonlyMap<string, string>;
}

/** The images where nothing is configured. */
export const defaultImages: ImageNames = {
  base: "debian:bookworm-slim",
  service: "decnet/{service}:latest",
  byService: new Map(),
};

/** A network that must exist. */
export interface PlannedNetwork {
  readonly name: string;
  /** CIDR of its one address pool. */
  readonly subnet: string;
  /** No way out: every LAN but the DMZ. */
  readonly internal: boolean;
  /** What the engine is asked for. */
  readonly request: NetworkRequest;
}

/** A container that must run. */
export interface PlannedContainer {
  readonly name: string;
  readonly decky: string;
  /** Null for a base. */
  readonly service: string | null;
  /** Network name → the container's IPv4 address there; empty for a service. */
  readonly addressByNetwork: ReadonlyMap<string, string>;
  /** The base container whose network a service shares; null for a base. */
  readonly base: string | null;
  /** What the engine is asked for. */
  readonly request: ContainerRequest;
}

/**
 * How many digests are under way at once. The runtime gives each a thread: one after the other they
 * take three times as long, and all at once would be as many threads.
 */
const digestsAtOnce = 8;

/** What a topology is in Docker. */
export interface Plan {
  readonly topologyId: string;
  /** Sorted by name. */
  readonly networks: readonly PlannedNetwork[];
  /** Each base before its services. */
  readonly containers: readonly PlannedContainer[];
}

/**
 * The plan of a topology: names, labels, what the engine is asked for, and digests of that, by which
 * a later apply tells what has changed. It is part of the contract with the master
 * (docs/topology.md).
 */
export async function planTopology(topology: Topology, images: ImageNames): Promise<Plan> {
  const prefix = `decnet_t_${topology.id.slice(0, 8)}_`;
  const lans = topology.lans.map((lan) => planLan(lan, topology.id, prefix));
  const deckies = topology.deckies.map((decky) => planDecky(decky, topology.id, prefix, images));
  const networks = await withDigests(lans);
  networks.sort((a, b) => compareCodePoints(a.name, b.name));
  return { topologyId: topology.id, networks, containers: await withDigests(deckies.flat()) };
}

/** The plan of a document, such as the store holds. Throws `Error` when it is of another shape. */
export async function planDocument(document: string, images: ImageNames): Promise<Plan> {
  return await planTopology(readTopology(parseJson(document)), images);
}

function planLan({ name, subnet, isDmz }: Lan, id: string, prefix: string): PlannedNetwork {
  const lan = { name: networkName(name, prefix), subnet, internal: !isDmz };
  return { ...lan, request: networkRequest(lan, { [topologyLabel]: id }) };
}

function planDecky(
  { name, services, addressByLan, forwardsL3, imageByService }: Decky,
  id: string,
  prefix: string,
  images: ImageNames,
): PlannedContainer[] {
  const base = prefix + name;
  const labels = { [topologyLabel]: id, "decnet.topology.decky": name };
  // Sorted: a document keeps no order of keys on its way through the store.
  const addressByNetwork = new Map(
    [...addressByLan].map(([lan, address]) => [networkName(lan, prefix), address] as const)
      .sort(([a], [b]) => compareCodePoints(a, b)),
  );
  const imageOf = (service: string) =>
    imageByService.get(service) ?? images.byService.get(service) ??
      images.service.replaceAll("{service}", () => service);
  return [
    {
      name: base,
      decky: name,
      service: null,
      addressByNetwork,
      base: null,
      request: baseRequest({ name, image: images.base, addressByNetwork, forwardsL3 }, {
        ...labels,
        "decnet.topology.role": "base",
      }),
    },
    ...services.map((service) => ({
      name: `${base}-${service}`,
      decky: name,
      service,
      addressByNetwork: new Map<string, string>(),
      base,
      request: serviceRequest({ decky: name, image: imageOf(service), base }, {
        ...labels,
        "decnet.topology.service": "true",
        "decnet.topology.service_name": service,
      }),
    })),
  ];
}

function networkName(lan: string, prefix: string): string {
  return prefix + lan.toLowerCase();
}

/** The planned objects, each with the label that tells its specification. */
async function withDigests<T extends PlannedNetwork | PlannedContainer>(
  planned: readonly T[],
): Promise<T[]> {
  const labelled: T[] = [];
  for (let at = 0; at < planned.length; at += digestsAtOnce) {
    labelled.push(...await Promise.all(planned.slice(at, at + digestsAtOnce).map(withDigest)));
  }
  return labelled;
}

async function withDigest<T extends PlannedNetwork | PlannedContainer>(one: T): Promise<T> {
  const bytes = new TextEncoder().encode(JSON.stringify(one.request));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  const labels = { ...one.request.Labels, [specLabel]: digest };
  return { ...one, request: { ...one.request, Labels: labels } };
}
