import { type Decky, type Lan, readTopology, type Topology } from "./document.ts";
import { namePrefix, specLabel, topologyLabel } from "./inventory.ts";
import { compareCodePoints, parseJson } from "./json.ts";
import {
  builtInServices,
  type Port,
  publishedPorts,
  resolveEnvironment,
  type ServiceCatalogue,
} from "./services.ts";

type Labels = Readonly<Record<string, string>>;

/** The body of `POST /networks/create`. */
export type NetworkRequest = ReturnType<typeof planLan>["request"] & {
  readonly EnableIPv6?: false;
};

/** The body of `POST /containers/create`; engines before API 1.44 accept only one endpoint. */
export interface ContainerRequest {
  readonly Image: string;
  readonly Hostname?: string;
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  /** `NAME=value`; a value that comes from the document is shown as `•••`. */
  readonly Env?: readonly string[];
  readonly ExposedPorts?: { readonly [port: Port]: Readonly<Record<string, never>> };
  readonly HostConfig: {
    readonly NetworkMode: string;
    readonly RestartPolicy: typeof restartPolicy;
    readonly LogConfig: typeof logConfig;
    readonly CapAdd?: readonly string[];
    readonly CapDrop?: readonly string[];
    readonly SecurityOpt?: readonly string[];
    readonly PidsLimit?: number;
    readonly Sysctls?: Readonly<Record<string, string>>;
    readonly PortBindings?: {
      readonly [port: Port]: readonly { readonly HostIp: string; readonly HostPort: string }[];
    };
    readonly Binds?: readonly string[];
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

/** Returns the image of a decky's service: the document's, else the configured one. */
export function serviceImage(
  service: string,
  { imageByService }: Pick<Decky, "imageByService">,
  images: ImageNames,
): string {
  return imageByService.get(service) ?? images.byService.get(service) ??
    images.service.replaceAll("{service}", () => service);
}

/** What the configuration decides about the objects of a topology. */
export interface PlanOptions {
  readonly images: ImageNames;
  readonly services: ServiceCatalogue;
  /** The host's IPv4 address for the ports of gateways; null: nothing is published. */
  readonly publish: string | null;
  /** The folder on the host for the files that services capture; null: nothing is mounted. */
  readonly artifactsDirectory: string | null;
}

/** The options when nothing is configured. */
export const defaultPlanOptions: PlanOptions = {
  images: defaultImages,
  services: builtInServices,
  publish: "0.0.0.0",
  artifactsDirectory: null,
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
  /** For messages and output; the engine gets `engineRequest()`. */
  readonly request: ContainerRequest;
  /** Variable → the value that the request does not show. */
  readonly hiddenValues: ReadonlyMap<string, string>;
}

/** Returns the ports of the host that a base publishes. */
export function publishedBy({ request }: PlannedContainer): Port[] {
  return Object.keys(request.HostConfig.PortBindings ?? {}) as Port[];
}

/** The networks and containers of a topology. */
export interface Plan {
  readonly topologyId: string;
  /** Sorted by name. */
  readonly networks: readonly PlannedNetwork[];
  /** Each base before its services. */
  readonly containers: readonly PlannedContainer[];
}

/** Plans a topology; names, labels and digests are a contract with the master (docs/topology.md). */
export async function planTopology(topology: Topology, options: PlanOptions): Promise<Plan> {
  const prefix = namePrefix(topology.id);
  const networks: PlannedNetwork[] = topology.lans.map((lan) => planLan(lan, topology.id, prefix))
    .sort((a, b) => compareCodePoints(a.name, b.name));
  await addDigests(networks, ({ request }) => request);
  for (const { request } of networks) Object.assign(request, { EnableIPv6: false });
  const context = { topology, prefix, options };
  const containers = topology.deckies.flatMap((decky) => planDecky(decky, context));
  await addDigests(containers, engineRequest);
  for (const it of containers) Object.assign(it.request.HostConfig, limitsOf(it));
  return { topologyId: topology.id, networks, containers };
}

/** Returns the names of a plan's images, sorted, each once. */
export function imagesOf({ containers }: Pick<Plan, "containers">): string[] {
  return [...new Set(containers.map(({ request }) => request.Image))].sort();
}

/** Plans a document, such as a stored one. Throws `Error` when its shape is wrong. */
export async function planDocument(document: string, options: PlanOptions): Promise<Plan> {
  return await planTopology(readTopology(parseJson(document)), options);
}

/** In place of a value that comes from the document: it may be a password. */
export const hiddenValue = "•••";

/** Returns the request as the engine gets it, with the values that are hidden elsewhere. */
export function engineRequest({ request, hiddenValues }: PlannedContainer): ContainerRequest {
  if (hiddenValues.size === 0) return request;
  const Env = request.Env!.map((entry) => {
    const name = entry.slice(0, entry.indexOf("="));
    const value = hiddenValues.get(name);
    return value === undefined ? entry : `${name}=${value}`;
  });
  return { ...request, Env };
}

/** Hides the values in a message of the engine, which may repeat the request. */
export function hideValues({ hiddenValues }: PlannedContainer, message: string): string {
  let text = message;
  for (const [name, value] of hiddenValues) {
    // Drops the rest: where the value ends is unknown, as engines escape and cut texts.
    const [start] = text.split(`${name}=`, 1);
    if (start !== text) text = `${start}${name}=${hiddenValue}`;
    if (value === "") continue;
    const forms = [value, JSON.stringify(value).slice(1, -1)].map((it) => RegExp.escape(it));
    text = text.replace(new RegExp(`(?<!\\w)(?:${forms.join("|")})(?!\\w)`, "g"), hiddenValue);
  }
  return text;
}

/** Shared by all objects, as an empty map for each would take megabytes. */
const none: ReadonlyMap<string, string> = new Map();

/** Limits logs: a decoy under attack for months must not fill the disk. */
const logConfig = { Type: "json-file", Config: { "max-size": "10m", "max-file": "5" } } as const;
const restartPolicy = { Name: "unless-stopped" } as const;

function networkName(lan: string, prefix: string): string {
  return prefix + lan.toLowerCase();
}

function planLan({ name: lan, subnet, isDmz }: Lan, id: string, prefix: string) {
  const name = networkName(lan, prefix);
  const labels: Labels = { [topologyLabel]: id };
  const request = {
    Name: name,
    CheckDuplicate: true,
    Driver: "bridge",
    Internal: !isDmz,
    IPAM: { Driver: "default", Config: [{ Subnet: subnet }] },
    Labels: labels,
  } as const;
  return { name, subnet, internal: !isDmz, request };
}

interface DeckyContext {
  readonly topology: Topology;
  readonly prefix: string;
  readonly options: PlanOptions;
}

function planDecky(decky: Decky, context: DeckyContext): PlannedContainer[] {
  const base = planBase(decky, context);
  return [base, ...decky.services.map((service) => planService(decky, service, base, context))];
}

function labelsOf(decky: Decky, { topology }: DeckyContext): Labels {
  return { [topologyLabel]: topology.id, "decnet.topology.decky": decky.name };
}

/** Plans a base container, which only holds the decky's network. */
function planBase(decky: Decky, context: DeckyContext): PlannedContainer {
  const { topology: { lans }, prefix, options: { images, services, publish } } = context;
  // Sorted, as the store does not keep the order of keys.
  const addressByNetwork = new Map(
    [...decky.addressByLan].map(([lan, address]) => [networkName(lan, prefix), address] as const)
      .sort(([a], [b]) => compareCodePoints(a, b)),
  );
  const [firstNetwork = "none"] = addressByNetwork.keys();
  const endpoints = [...addressByNetwork].map(([network, address]) =>
    [network, { IPAMConfig: { IPv4Address: address } }] as const
  );
  const ports = publish === null ? [] : publishedPorts(decky, { lans, catalogue: services });
  const bindings = ports.map((port) =>
    [port, [{ HostIp: publish!, HostPort: String(parseInt(port)) }]] as const
  );
  const request: ContainerRequest = {
    Image: images.base,
    Hostname: decky.name,
    // Replaces the program of the image.
    Entrypoint: ["sleep"],
    Cmd: ["infinity"],
    ...(ports.length > 0 && { ExposedPorts: Object.fromEntries(ports.map((it) => [it, {}])) }),
    HostConfig: {
      NetworkMode: firstNetwork,
      RestartPolicy: restartPolicy,
      LogConfig: logConfig,
      CapAdd: ["NET_ADMIN"],
      ...(decky.forwardsL3 && { Sysctls: { "net.ipv4.ip_forward": "1" } }),
      ...(ports.length > 0 && { PortBindings: Object.fromEntries(bindings) }),
    },
    NetworkingConfig: { EndpointsConfig: Object.fromEntries(endpoints) },
    Labels: { ...labelsOf(decky, context), "decnet.topology.role": "base" },
  };
  return {
    name: prefix + decky.name,
    decky: decky.name,
    service: null,
    addressByNetwork,
    base: null,
    request,
    hiddenValues: none,
  };
}

/** Plans a service's container, which shares the network of the decky's base. */
function planService(
  decky: Decky,
  service: string,
  { name: base }: PlannedContainer,
  context: DeckyContext,
): PlannedContainer {
  const { images, services, artifactsDirectory } = context.options;
  const facts = services.get(service) ?? {};
  const { capabilities = [], artifacts, confined = false } = facts;
  const { variables } = resolveEnvironment(facts, decky.configByService.get(service) ?? {});
  const hidden = variables.filter(({ isPublic }) => !isPublic);
  const folder = artifacts && artifactsDirectory !== null &&
    `${artifactsDirectory}/${decky.name}/${artifacts.directory}:${artifacts.container}`;
  const request: ContainerRequest = {
    Image: serviceImage(service, decky, images),
    Env: [
      `HOSTNAME=${decky.name}`,
      `NODE_NAME=${decky.name}`,
      ...variables.map(({ name, value, isPublic }) => `${name}=${isPublic ? value : hiddenValue}`),
    ],
    HostConfig: {
      NetworkMode: `container:${base}`,
      RestartPolicy: restartPolicy,
      LogConfig: logConfig,
      ...(capabilities.length > 0 && { CapAdd: capabilities }),
      ...(confined && { SecurityOpt: [noNewPrivileges] }),
      ...(folder && { Binds: [folder] }),
    },
    Labels: {
      ...labelsOf(decky, context),
      "decnet.topology.service": "true",
      "decnet.topology.service_name": service,
    },
  };
  return {
    name: `${base}-${service}`,
    decky: decky.name,
    service,
    addressByNetwork: none,
    base,
    request,
    hiddenValues: hidden.length === 0 ? none : new Map(hidden.map((it) => [it.name, it.value])),
  };
}

/** Number of digests computed in parallel, in threads; one at a time takes three times as long. */
const digestsAtOnce = 32;

/**
 * Adds a digest to the labels of planned objects. The digest is of what the document and the configuration
 * have `decided`. What is the same for all objects is added later, but for the limits of logs. Keep the
 * order of fields, and let nothing else change: an upgrade of the agent must not recreate what runs.
 */
async function addDigests<T extends PlannedNetwork | PlannedContainer>(
  planned: readonly T[],
  decided: (planned: T) => T["request"],
): Promise<void> {
  for (let at = 0; at < planned.length; at += digestsAtOnce) {
    const batch = planned.slice(at, at + digestsAtOnce);
    const texts = batch.map((it) => JSON.stringify(decided(it)));
    const digests = await sha256OfAll(texts, planned.length);
    batch.forEach(({ request }, index) => {
      Object.assign(request.Labels, { [specLabel]: digests[index] });
    });
  }
}

/** From so many texts on, Node's `hash()` is faster than threads, although it takes 25 ms to load. */
const manyTexts = 4_000;

/** Returns SHA-256 of texts, in lower-case hex; `total` is the number of texts in all calls. */
async function sha256OfAll(texts: readonly string[], total: number): Promise<string[]> {
  if (total >= manyTexts) {
    const { hash } = await import("node:crypto");
    return texts.map((text) => hash("sha256", text));
  }
  const bytes = texts.map((text) => new TextEncoder().encode(text));
  const digests = await Promise.all(bytes.map((it) => crypto.subtle.digest("SHA-256", it)));
  return digests.map((it) => new Uint8Array(it).toHex());
}

const noNewPrivileges = "no-new-privileges";

/** Returns the limits of all bases, or of all services. */
function limitsOf({ request, base }: PlannedContainer): Partial<ContainerRequest["HostConfig"]> {
  if (base !== null) return { PidsLimit: 1024 };
  return {
    CapDrop: ["ALL"],
    SecurityOpt: [noNewPrivileges],
    PidsLimit: 64,
    // Podman does not set it by itself: services may open ports below 1024 as any user.
    Sysctls: { ...request.HostConfig.Sysctls, "net.ipv4.ip_unprivileged_port_start": "0" },
  };
}
