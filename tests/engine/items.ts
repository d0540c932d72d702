import { createHash } from "node:crypto";

/** The states a container of the real engine can be in. */
export const containerStates = [
  "created",
  "running",
  "paused",
  "restarting",
  "removing",
  "exited",
  "dead",
] as const;

/** A pool of addresses; the engine names the gateway only where it chose the subnet itself. */
export interface Pool {
  Subnet: string;
  Gateway?: string;
}
/** What ties a container to a network; most of it is empty while the container does not run. */
export type EndpointItem = ReturnType<typeof endpoint>;
/** An item of `GET /networks`. */
export type NetworkItem = ReturnType<typeof network>;
/** An item of `GET /containers/json`. */
export type ContainerItem = ReturnType<typeof container>;
/** The states a container of the real engine can be in. */
export type ContainerState = typeof containerStates[number];

/** A network as the real engine lists it. */
export function network(options: {
  name: string;
  subnet?: string;
  labels?: Record<string, string>;
  internal?: boolean;
  driver?: string;
}) {
  const { name, subnet, labels = {}, internal = false, driver = "bridge" } = options;
  return {
    Name: name,
    Id: idOf("network", name),
    Created: "2026-01-02T03:04:05.678901234Z",
    Scope: "local",
    Driver: driver,
    EnableIPv6: false,
    IPAM: {
      Driver: "default",
      Options: {} as Record<string, string> | null,
      Config: (subnet === undefined ? [] : [{ Subnet: subnet }]) as Pool[],
    },
    Internal: internal,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: {},
    Options: {} as Record<string, string>,
    Labels: labels,
  };
}

/**
 * A container as the real engine lists it; `addresses` maps network names to IPv4 addresses, and
 * a `networkMode` of `container:<name>` becomes one with that container's id, as the engine does.
 */
export function container(options: {
  name: string;
  state?: ContainerState;
  labels?: Record<string, string>;
  health?: "starting" | "healthy" | "unhealthy";
  addresses?: Record<string, string>;
  networkMode?: string;
  image?: string;
}) {
  const { name, state = "running", labels = {}, image = "busybox:latest" } = options;
  const mode = options.networkMode ?? Object.keys(options.addresses ?? {})[0] ?? "default";
  const addresses = options.addresses ?? (mode === "default" ? { bridge: "172.17.0.2" } : {});
  return {
    Id: idOf("container", name),
    Names: [`/${name}`],
    Image: image,
    ImageID: imageIdOf(image),
    Command: "sleep infinity",
    Created: 1_767_323_045,
    Ports: [] as unknown[],
    Labels: labels,
    State: state,
    Status: statusText(state, options.health),
    HostConfig: {
      NetworkMode: mode.replace(/^container:(?![0-9a-f]{64}$)(.+)$/, (_, other) => {
        return `container:${idOf("container", other)}`;
      }),
    },
    NetworkSettings: {
      Networks: Object.fromEntries(
        Object.entries(addresses).map(([name, ip]) => [name, endpoint(name, ip, state)]),
      ) as Record<string, EndpointItem>,
    },
    Mounts: [] as unknown[],
  };
}

function endpoint(network: string, ip: string, state: ContainerState) {
  const up = state === "running" || state === "paused";
  const mac = ip.split(".").map((octet) => Number(octet).toString(16).padStart(2, "0"));
  return {
    IPAMConfig: (network === "bridge" ? null : { IPv4Address: ip }) as
      | { IPv4Address?: string }
      | null,
    Links: null,
    Aliases: null,
    NetworkID: state === "created" ? "" : idOf("network", network),
    EndpointID: up ? idOf("endpoint", `${network} ${ip}`) : "",
    Gateway: up ? ip.replace(/\d+$/, "1") : "",
    IPAddress: up ? ip : "",
    IPPrefixLen: up ? 24 : 0,
    IPv6Gateway: "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    MacAddress: up ? `02:42:${mac.join(":")}` : "",
    DriverOpts: null,
  };
}

function statusText(state: ContainerState, health: string | undefined): string {
  const checked = health === "starting" ? " (health: starting)" : health ? ` (${health})` : "";
  return {
    created: "Created",
    running: `Up 2 minutes${checked}`,
    paused: "Up 2 minutes (Paused)",
    restarting: "Restarting (1) 5 seconds ago",
    removing: "Removal In Progress",
    exited: "Exited (0) 3 minutes ago",
    dead: "Dead",
  }[state];
}

/** An id that nothing else has. */
export function newId(): string {
  return crypto.getRandomValues(new Uint8Array(32)).toHex();
}

/** The id of the image that goes by a tag, as long as nobody has built another. */
export function imageIdOf(tag: string): string {
  return `sha256:${idOf("image", tag)}`;
}

/** The id of an object that was not made over the socket. */
export function idOf(kind: string, name: string): string {
  return createHash("sha256").update(`${kind} ${name}`).digest("hex");
}
