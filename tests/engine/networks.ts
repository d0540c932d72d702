import type { NetworkCreation, NetworkMembership } from "./bodies.ts";
import {
  activeEndpoints,
  idleEndpoint,
  isUp,
  liveEndpoint,
  parseAddress,
  refuseOwnAddress,
} from "./endpoints.ts";
import {
  type ContainerItem,
  type EndpointItem,
  network,
  type NetworkItem,
  newId,
  type Pool,
} from "./items.ts";
import { Refusal } from "./refusal.ts";
import { type EngineState, isPredefined } from "./state.ts";
import { overlap, readSubnet, showAddress, type Subnet } from "./subnets.ts";

const drivers = ["bridge", "macvlan", "ipvlan", "overlay", "host", "null"];
const lonely = "container cannot be connected to multiple networks with one of the networks in " +
  "private (none) mode";
const shared = "container sharing network namespace with another container or host cannot be " +
  "connected to any other network";

/** Answers `POST /networks/create`. Throws `Refusal`. */
export function createNetwork(state: EngineState, body: NetworkCreation) {
  const { Name: name = "", Driver: driver = "bridge", Labels: labels } = body;
  if (isPredefined(name)) {
    throw new Refusal(403, `operation is not permitted on predefined ${name} network `);
  }
  const namesake = state.networks.find(({ Name }) => Name === name);
  if (namesake && body.CheckDuplicate) {
    throw new Refusal(409, `network with name ${name} already exists`);
  }
  if (name === "") throw new Refusal(500, "invalid name: ");
  if (!drivers.includes(driver)) throw new Refusal(404, `plugin "${driver}" not found`);
  const wanted = (body.IPAM?.Config ?? []).flatMap(({ Subnet }) => Subnet ? [{ Subnet }] : []);
  const item = network({ name, driver, labels: labels ?? {}, internal: body.Internal ?? false });
  const created: NetworkItem = {
    ...item,
    Id: newId(),
    Created: new Date().toISOString(),
    IPAM: { Driver: "default", Options: null, Config: choosePools(state, wanted) },
    Options: body.Options ?? {},
  };
  state.networks = [...state.networks, created];
  const warning = namesake && `Network with name ${name} (id : ${namesake.Id}) already exists`;
  return { Id: created.Id, Warning: warning ?? "" };
}

/** Answers `DELETE /networks/{id}`. Throws `Refusal`. */
export function removeNetwork(state: EngineState, reference: string): void {
  const { Id: id, Name: name } = state.network(reference);
  if (isPredefined(name)) {
    throw new Refusal(403, `${name} is a pre-defined network and cannot be removed`);
  }
  if (activeEndpoints(state, id).length > 0) {
    const problem = `network ${name} id ${id} has active endpoints`;
    throw new Refusal(403, `error while removing network: ${problem}`);
  }
  state.networks = state.networks.filter(({ Id }) => Id !== id);
}

/** Answers `POST /networks/{id}/connect`. Throws `Refusal`. */
export function connect(state: EngineState, reference: string, body: NetworkMembership): void {
  const container = state.container(body.Container ?? "");
  const ipam = body.EndpointConfig?.IPAMConfig ?? null;
  const mode = container.HostConfig.NetworkMode;
  if (isUp(container)) {
    if (mode.startsWith("container:")) throw new Refusal(400, shared);
    const network = state.network(reference);
    refuseMix(container, network);
    const address = ipam?.IPv4Address;
    if (address) refuseOwnAddress(network);
    if (address) parseAddress(address);
    const present = container.NetworkSettings.Networks[network.Name];
    if (present?.EndpointID) {
      const name = container.Names[0]!.slice(1);
      throw new Refusal(
        403,
        `endpoint with name ${name} already exists in network ${network.Name}`,
      );
    }
    // What was asked for stays, even when it is refused now: then the next start fails of it.
    const wish = setEndpoint(state, container, network.Name, idleEndpoint(ipam));
    setEndpoint(state, wish, network.Name, liveEndpoint(state, network, ipam));
    return;
  }
  const network = state.findNetwork(reference);
  // A network that does not exist is taken without a word; the start will fail.
  if (!network) return void setEndpoint(state, container, reference, idleEndpoint(ipam));
  refuseMix(container, network);
  if (ipam?.IPv4Address) refuseOwnAddress(network);
  const present = container.NetworkSettings.Networks[network.Name];
  // An endpoint that is there stays as it is, unless it was one on a network that is gone.
  if (present && state.findNetwork(present.NetworkID || network.Name)) return;
  setEndpoint(state, container, network.Name, idleEndpoint(ipam));
}

/** Answers `POST /networks/{id}/disconnect`. Throws `Refusal`. */
export function disconnect(state: EngineState, reference: string, body: NetworkMembership): void {
  const network = state.findNetwork(reference);
  const force = body.Force ?? false;
  let container: ContainerItem;
  try {
    container = state.container(body.Container ?? "");
  } catch (error) {
    if (!(error instanceof Refusal && error.status === 404 && network && force)) throw error;
    throw new Refusal(404, `endpoint ${body.Container} not found`);
  }
  if (isUp(container) && !network && !force) state.network(reference);
  const name = network?.Name ?? reference;
  if (!(name in container.NetworkSettings.Networks)) {
    const the = isUp(container) && network ? "" : "the ";
    throw new Refusal(500, `container ${container.Id} is not connected to ${the}network ${name}`);
  }
  const { [name]: _, ...rest } = container.NetworkSettings.Networks;
  state.replace({ ...container, NetworkSettings: { Networks: rest } });
}

function setEndpoint(
  state: EngineState,
  container: ContainerItem,
  name: string,
  endpoint: EndpointItem,
): ContainerItem {
  const networks = { ...container.NetworkSettings.Networks, [name]: endpoint };
  return state.replace({ ...container, NetworkSettings: { Networks: networks } });
}

/** Neither the host's network nor none goes together with another. */
function refuseMix(container: ContainerItem, network: NetworkItem): void {
  const mode = container.HostConfig.NetworkMode;
  if (mode === "host") throw new Refusal(400, shared);
  if (network.Driver === "host") {
    const problem =
      "container cannot be disconnected from host network or connected to host network";
    throw new Refusal(400, problem);
  }
  if (network.Driver === "null" || mode === "none") throw new Refusal(400, lonely);
}

/** The wanted pools, or one of the engine's own choice. */
function choosePools(state: EngineState, wanted: Pool[]): Pool[] {
  const others = state.networks.flatMap(({ IPAM }) => IPAM.Config)
    .map(({ Subnet }) => readSubnet(Subnet)).filter((it) => it !== undefined);
  const isFree = (subnet: Subnet) => !others.some((other) => overlap(subnet, other));
  for (const { Subnet: text } of wanted) {
    const subnet = readSubnet(text);
    if (!subnet) throw new Refusal(500, `Invalid subnet ${text} : invalid CIDR address: ${text}`);
    if (!isFree(subnet)) {
      throw new Refusal(403, "Pool overlaps with other one on this address space");
    }
  }
  if (wanted.length > 0) return wanted;
  for (let second = 18; second < 32; second++) {
    const subnet = readSubnet(`172.${second}.0.0/16`)!;
    if (isFree(subnet)) {
      const gateway = showAddress(subnet.first + 1);
      return [{ Subnet: `172.${second}.0.0/16`, Gateway: gateway }];
    }
  }
  const problem = "could not find an available, non-overlapping IPv4 address pool among the " +
    "defaults to assign to the network";
  throw new Refusal(404, problem);
}
