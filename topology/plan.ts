import { type Decky, type Lan, readTopology, type Topology } from "./document.ts";
import { specLabel, topologyLabel } from "./inventory.ts";
import { compareCodePoints, parseJson } from "./json.ts";
import { namePrefix } from "./ownership.ts";

type Labels = Readonly<Record<string, string>>;

/** The body of `POST /networks/create`. */
export interface NetworkRequest {
  readonly Name: string;
  readonly CheckDuplicate: true;
  readonly Driver: "bridge";
  readonly Internal: boolean;
  /** Said, as engines from 27 on can add a pool by default. */
  readonly EnableIPv6: false;
  readonly IPAM: {
    readonly Driver: "default";
    readonly Config: readonly [{ readonly Subnet: string }];
  };
  readonly Labels: Labels;
}

/** The body of `POST /containers/create`; engines before API 1.44 accept only one endpoint. */
export interface ContainerRequest {
  readonly Image: string;
  readonly Hostname?: string;
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly HostConfig: {
    readonly NetworkMode: string;
    readonly RestartPolicy: typeof restartPolicy;
    readonly LogConfig: typeof logConfig;
    readonly CapAdd?: readonly ["NET_ADMIN"];
    readonly Sysctls?: Readonly<Record<string, string>>;
  };
  readonly NetworkingConfig?: {
    readonly EndpointsConfig: Readonly<
      Record<string, { readonly IPAMConfig: { readonly IPv4Address: string } }>
    >;
  };
  readonly Labels: Labels;
}

/** The images of containers when the document names none. */
export interface ImageNames {
  /** For base containers. */
  readonly base: string;
  /** For services; `{service}` in it is replaced by the service's name. */
  readonly service: string;
  /** Service name → image; has precedence over `service`. */
  readonly byService: ReadonlyMap<string, string>;
}

/** The images when none are configured. */
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
  /** Without access to outside: every LAN except the DMZ. */
  readonly internal: boolean;
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
  readonly request: ContainerRequest;
}

/** The networks and containers of a topology. */
export interface Plan {
  readonly topologyId: string;
  /** Sorted by name. */
  readonly networks: readonly PlannedNetwork[];
  /** Each base before its services. */
  readonly containers: readonly PlannedContainer[];
}

/**
 * Plans a topology: names, labels, requests to the engine, and digests, by which a later apply finds
 * changes. This is part of the contract with the master (docs/topology.md).
 */
export async function planTopology(topology: Topology, images: ImageNames): Promise<Plan> {
  const prefix = namePrefix(topology.id);
  const lans = topology.lans.map((lan) => planLan(lan, topology.id, prefix));
  const deckies = topology.deckies.map((decky) => planDecky(decky, topology.id, prefix, images));
  const networks = await withDigests(lans);
  networks.sort((a, b) => compareCodePoints(a.name, b.name));
  return { topologyId: topology.id, networks, containers: await withDigests(deckies.flat()) };
}

/** Plans a document, such as a stored one. Throws `Error` when its shape is wrong. */
export async function planDocument(document: string, images: ImageNames): Promise<Plan> {
  return await planTopology(readTopology(parseJson(document)), images);
}

/** Limits logs: a decoy under attack for months must not fill the disk. */
const logConfig = {
  Type: "json-file",
  Config: { "max-size": "10m", "max-file": "5" },
} as const;
const restartPolicy = { Name: "unless-stopped" } as const;

function networkName(lan: string, prefix: string): string {
  return prefix + lan.toLowerCase();
}

function planLan(lan: Lan, id: string, prefix: string): PlannedNetwork {
  const [name, subnet, internal] = [networkName(lan.name, prefix), lan.subnet, !lan.isDmz];
  const request: NetworkRequest = {
    Name: name,
    CheckDuplicate: true,
    Driver: "bridge",
    Internal: internal,
    EnableIPv6: false,
    IPAM: { Driver: "default", Config: [{ Subnet: subnet }] },
    Labels: { [topologyLabel]: id },
  };
  return { name, subnet, internal, request };
}

function planDecky(
  decky: Decky,
  id: string,
  prefix: string,
  images: ImageNames,
): PlannedContainer[] {
  const labels = { [topologyLabel]: id, "decnet.topology.decky": decky.name };
  const base = planBase(decky, prefix, images.base, labels);
  const services = decky.services.map((service) => {
    const image = decky.imageByService.get(service) ?? images.byService.get(service) ??
      images.service.replaceAll("{service}", () => service);
    return planService(base, service, image, labels);
  });
  return [base, ...services];
}

/** Plans a base container, which only holds the decky's network. */
function planBase(decky: Decky, prefix: string, image: string, labels: Labels): PlannedContainer {
  // Sorted, as the store does not keep the order of keys.
  const addressByNetwork = new Map(
    [...decky.addressByLan].map(([lan, address]) => [networkName(lan, prefix), address] as const)
      .sort(([a], [b]) => compareCodePoints(a, b)),
  );
  const [firstNetwork = "none"] = addressByNetwork.keys();
  const endpoints = [...addressByNetwork].map(([network, address]) =>
    [network, { IPAMConfig: { IPv4Address: address } }] as const
  );
  const request: ContainerRequest = {
    Image: image,
    Hostname: decky.name,
    // Replaces the program of the image.
    Entrypoint: ["sleep"],
    Cmd: ["infinity"],
    HostConfig: {
      NetworkMode: firstNetwork,
      RestartPolicy: restartPolicy,
      LogConfig: logConfig,
      CapAdd: ["NET_ADMIN"],
      ...(decky.forwardsL3 ? { Sysctls: { "net.ipv4.ip_forward": "1" } } : {}),
    },
    NetworkingConfig: { EndpointsConfig: Object.fromEntries(endpoints) },
    Labels: { ...labels, "decnet.topology.role": "base" },
  };
  const name = prefix + decky.name;
  return { name, decky: decky.name, service: null, addressByNetwork, base: null, request };
}

/** Plans a service's container, which shares the network of the decky's base. */
function planService(
  { name: base, decky }: PlannedContainer,
  service: string,
  image: string,
  labels: Labels,
): PlannedContainer {
  const request: ContainerRequest = {
    Image: image,
    Env: [`HOSTNAME=${decky}`],
    HostConfig: {
      NetworkMode: `container:${base}`,
      RestartPolicy: restartPolicy,
      LogConfig: logConfig,
    },
    Labels: {
      ...labels,
      "decnet.topology.service": "true",
      "decnet.topology.service_name": service,
    },
  };
  const name = `${base}-${service}`;
  return { name, decky, service, addressByNetwork: new Map(), base, request };
}

/**
 * Number of digests that are computed in parallel, each in a thread of the runtime. One at a time takes
 * three times as long.
 */
const digestsAtOnce = 8;

/** Adds the digest of its request as a label to each planned object. */
async function withDigests<T extends PlannedNetwork | PlannedContainer>(
  planned: readonly T[],
): Promise<T[]> {
  const labelled: T[] = [];
  for (let at = 0; at < planned.length; at += digestsAtOnce) {
    labelled.push(...await Promise.all(planned.slice(at, at + digestsAtOnce).map(withDigest)));
  }
  return labelled;
}

/**
 * The digest is of what the document and the configuration decide. Leave out what is new and the same for
 * all objects, keep the order of fields, and let nothing else change: an upgrade of the agent must not
 * recreate what runs.
 */
async function withDigest<T extends PlannedNetwork | PlannedContainer>(planned: T): Promise<T> {
  const text = JSON.stringify({ ...planned.request, EnableIPv6: undefined });
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const labels = { ...planned.request.Labels, [specLabel]: new Uint8Array(digest).toHex() };
  return { ...planned, request: { ...planned.request, Labels: labels } };
}
