import { type ContainerItem, type EndpointItem, type NetworkItem, newId } from "./items.ts";
import { Refusal } from "./refusal.ts";
import { type EngineState, isPredefined } from "./state.ts";
import { readAddress, readSubnet, showAddress, type Subnet } from "./subnets.ts";

/** The endpoint of a container that does not run. */
export function idleEndpoint(ipam: EndpointItem["IPAMConfig"], networkId = ""): EndpointItem {
  return {
    IPAMConfig: ipam,
    Links: null,
    Aliases: null,
    NetworkID: networkId,
    EndpointID: "",
    Gateway: "",
    IPAddress: "",
    IPPrefixLen: 0,
    IPv6Gateway: "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    MacAddress: "",
    DriverOpts: null,
  };
}

/** Whether the container is running in the engine's sense, and so holds its addresses. */
export function isUp({ State }: ContainerItem): boolean {
  return State === "running" || State === "paused" || State === "restarting";
}

/** The endpoints on a network that hold an address now. */
export function activeEndpoints(state: EngineState, networkId: string): EndpointItem[] {
  return state.containers.filter(isUp).flatMap((container) =>
    Object.values(container.NetworkSettings.Networks)
      .filter(({ NetworkID, EndpointID }) => NetworkID === networkId && EndpointID !== "")
  );
}

/** Attaches a running container to a network: the endpoint with its address. Throws `Refusal`. */
export function liveEndpoint(
  state: EngineState,
  network: NetworkItem,
  ipam: EndpointItem["IPAMConfig"],
): EndpointItem {
  const endpoint = { ...idleEndpoint(ipam, network.Id), EndpointID: newId() };
  const wanted = ipam?.IPv4Address;
  if (wanted) refuseOwnAddress(network);
  const pool = network.IPAM.Config[0];
  const subnet = pool && readSubnet(pool.Subnet);
  if (!subnet || network.Driver === "null" || network.Driver === "host") return endpoint;
  const address = wanted ? checkAddress(state, network, wanted) : freeAddress(state, network);
  return {
    ...endpoint,
    Gateway: pool.Gateway ?? showAddress(subnet.first + 1),
    IPAddress: showAddress(address),
    IPPrefixLen: subnet.bits,
    MacAddress: `02:42:${address.toString(16).padStart(8, "0").match(/../g)!.join(":")}`,
  };
}

/** The engine's own networks, and those without a subnet of the user's, give addresses themselves. */
export function refuseOwnAddress(network: NetworkItem): void {
  const only = isPredefined(network.Name)
    ? "supported on user defined networks only"
    : network.IPAM.Config.some(({ Gateway }) => Gateway === undefined)
    ? ""
    : "supported only when connecting to networks with user configured subnets";
  if (only) throw new Refusal(400, `user specified IP address is ${only}`);
}

/** Reads an address as the engine does when it attaches a running container. */
export function parseAddress(text: string): number {
  const address = readAddress(text);
  if (address === undefined) throw new Refusal(500, `Invalid IPv4 address: ${text})`);
  return address;
}

function checkAddress(state: EngineState, network: NetworkItem, text: string): number {
  const address = parseAddress(text);
  const subnet = subnets(network).find(({ first, last }) => first <= address && address <= last);
  if (!subnet) {
    const problem = "It does not belong to any of this network's subnets";
    throw new Refusal(500, `Invalid address ${text}: ${problem}`);
  }
  if (taken(state, network, subnet).has(address)) {
    throw new Refusal(403, "Address already in use");
  }
  return address;
}

function freeAddress(state: EngineState, network: NetworkItem): number {
  for (const subnet of subnets(network)) {
    const used = taken(state, network, subnet);
    for (let address = subnet.first; address <= subnet.last; address++) {
      if (!used.has(address)) return address;
    }
  }
  throw new Refusal(403, "no available IPv4 addresses on this network's address pools");
}

/** Those of the network itself, its gateway and its broadcasts, and those that somebody has. */
function taken(state: EngineState, network: NetworkItem, { first, last }: Subnet): Set<number> {
  const held = activeEndpoints(state, network.Id).map(({ IPAddress }) => readAddress(IPAddress));
  return new Set([first, first + 1, last, ...held.filter((address) => address !== undefined)]);
}

function subnets(network: NetworkItem): Subnet[] {
  return network.IPAM.Config.map((pool) => readSubnet(pool.Subnet)).filter((it) =>
    it !== undefined
  );
}
