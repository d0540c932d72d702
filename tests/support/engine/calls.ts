import {
  formatAddress,
  overlaps,
  parseAddress,
  parseCidr,
  type Subnet,
  subnetOf,
} from "../../../topology/address.ts";
import { json, type Reply, type Request } from "./http.ts";
import {
  container,
  type ContainerItem,
  type ContainerState,
  type EndpointItem,
  EngineRefusal,
  type EngineState,
  idleEndpoint,
  isUp,
  network,
  type NetworkItem,
  newId,
  statusText,
} from "./state.ts";

/** A call of the engine's API; `id` is what the path has in the place of `{id}`. */
interface Call {
  readonly state: EngineState;
  readonly id: string;
  readonly query: URLSearchParams;
  // deno-lint-ignore no-explicit-any
  readonly body: any;
}

/** What the calls answer with: a status, or a status and a value. */
const routes: Readonly<Record<string, (call: Call) => number | readonly [number, unknown]>> = {
  "GET /version": () => [200, { Version: "28.0.1", ApiVersion: "1.48", KernelVersion: "6.1.0" }],
  "GET /networks": ({ state, query }) => [200, listNetworks(state, query)],
  "POST /networks/create": createNetwork,
  "POST /networks/{id}/connect": connect,
  "POST /networks/{id}/disconnect": disconnect,
  "DELETE /networks/{id}": removeNetwork,
  "GET /containers/json": ({ state, query }) => [200, listContainers(state, query)],
  "POST /containers/create": createContainer,
  "POST /containers/{id}/start": start,
  "POST /containers/{id}/stop": ({ state, id }) => {
    const container = state.container(id);
    return isUp(container) ? end(state, container) : 304;
  },
  "POST /containers/{id}/kill": ({ state, id }) => {
    const container = state.container(id);
    if (isUp(container)) return end(state, container);
    const problem = `Container ${container.Id} is not running`;
    throw new EngineRefusal(409, `Cannot kill container: ${id}: ${problem}`);
  },
  "POST /containers/{id}/restart": (call) => {
    const container = call.state.container(call.id);
    if (isUp(container)) end(call.state, container);
    try {
      return start(call);
    } catch (error) {
      throw new EngineRefusal(
        500,
        `Cannot restart container ${call.id}: ${(error as Error).message}`,
      );
    }
  },
  "POST /containers/{id}/pause": ({ state, id }) => setState(state, state.container(id), "paused"),
  "POST /containers/{id}/unpause": ({ state, id }) => {
    const container = state.container(id);
    if (container.State === "paused") return setState(state, container, "running");
    throw new EngineRefusal(500, `Container ${container.Id} is not paused`);
  },
  "POST /containers/{id}/rename": ({ state, id, query }) => {
    state.replace({ ...state.container(id), Names: [`/${query.get("name")}`] });
    return 204;
  },
  "DELETE /containers/{id}": removeContainer,
  "GET /images/json": ({ state, query }) => {
    const filters = parseFilters(query);
    const images = state.images.list(state.containers);
    return [200, images.filter(({ Labels }) => matchesLabels(filters, Labels))];
  },
  "GET /images/{id}/json": ({ state, id }) => {
    try {
      return [200, { Id: state.images.find(id), Os: "linux" }];
    } catch (error) {
      throw new EngineRefusal(404, `no such image: ${id}: ${(error as Error).message}`);
    }
  },
};

/** Answers a call as the real engine does; what it does not know is 404. */
export function answerCall(
  state: EngineState,
  { method, target, body }: Pick<Request, "method" | "target" | "body">,
): Reply {
  const { pathname, searchParams: query } = new URL(target, "http://docker");
  for (const [name, route] of Object.entries(routes)) {
    // An image's name may have slashes in it.
    const pattern = name.replace("{id}", name.includes("/images/") ? "(.+)" : "([^/]+)");
    const match = new RegExp(`^${pattern}$`).exec(`${method} ${pathname}`);
    if (!match) continue;
    const id = decodeURIComponent(match[1] ?? "");
    try {
      const result = route({ state, id, query, body: JSON.parse(body || "{}") });
      return typeof result === "number" ? { status: result, body: "" } : json(...result);
    } catch (error) {
      if (!(error instanceof EngineRefusal)) throw error;
      return json(error.status, { message: error.message });
    }
  }
  return json(404, { message: "page not found" });
}

function listNetworks(state: EngineState, query: URLSearchParams): NetworkItem[] {
  const filters = parseFilters(query);
  return state.networks.filter((item) =>
    matchesName(filters, [item.Name]) && matchesLabels(filters, item.Labels)
  );
}

function listContainers(state: EngineState, query: URLSearchParams): ContainerItem[] {
  const filters = parseFilters(query);
  const isAll = isTrue(query.get("all"));
  return state.containers.filter((item) =>
    (isAll || isUp(item)) && matchesLabels(filters, item.Labels) &&
    matchesName(filters, item.Names.flatMap((name) => [name, name.slice(1)]))
  );
}

function isTrue(value: string | null): boolean {
  return value === "1" || value === "true";
}

/** Reads the filters by name, without empty ones. Throws `EngineRefusal` for an unknown one. */
function parseFilters(query: URLSearchParams): Map<string, string[]> {
  const filters: Record<string, string[]> = JSON.parse(query.get("filters") || "{}");
  const unknown = Object.keys(filters).find((name) => !["name", "label"].includes(name));
  if (unknown) throw new EngineRefusal(400, `Invalid filter '${unknown}'`);
  return new Map(Object.entries(filters).filter(([, values]) => values.length > 0));
}

/** Each value is a regular expression, found anywhere; one of them has to match. */
function matchesName(filters: Map<string, string[]>, names: string[]): boolean {
  const patterns = filters.get("name")?.map((pattern) => new RegExp(pattern));
  return patterns?.some((pattern) => names.some((name) => pattern.test(name))) ?? true;
}

/** Each value is `key` or `key=value`; all have to match. */
function matchesLabels(filters: Map<string, string[]>, labels: Record<string, string>): boolean {
  return (filters.get("label") ?? []).every((wanted) => {
    const [key = "", ...value] = wanted.split("=");
    return Object.hasOwn(labels, key) && (value.length === 0 || labels[key] === value.join("="));
  });
}

function createNetwork({ state, body }: Call): [number, unknown] {
  const { Name: name = "", Driver: driver = "bridge", Labels: labels, Internal: internal } = body;
  if (body.CheckDuplicate && state.networks.some(({ Name }) => Name === name)) {
    throw new EngineRefusal(409, `network with name ${name} already exists`);
  }
  if (driver !== "bridge") throw new EngineRefusal(404, `plugin "${driver}" not found`);
  const subnet: string | undefined = body.IPAM?.Config?.[0]?.Subnet;
  const created = {
    ...network({ name, subnet, labels: labels ?? {}, internal: internal ?? false }),
    Id: newId(),
  };
  const wanted = subnetIn(created);
  const used = state.networks.map(subnetIn).filter((it) => it !== null);
  if (wanted && used.some((it) => overlaps(it, wanted))) {
    throw new EngineRefusal(403, "Pool overlaps with other one on this address space");
  }
  state.networks = [...state.networks, created];
  return [201, { Id: created.Id, Warning: "" }];
}

/** Null for a network that has no addresses. */
function subnetIn({ IPAM, ConfigOnly }: NetworkItem): Subnet | null {
  if (IPAM.Driver === "null" || ConfigOnly) return null;
  const cidr = parseCidr(IPAM.Config[0]?.Subnet ?? "");
  return cidr && subnetOf(cidr);
}

function removeNetwork({ state, id: reference }: Call): number {
  const { Id: id, Name: name } = state.network(reference);
  if (endpointsOn(state, id).length > 0) {
    const problem = `network ${name} id ${id} has active endpoints`;
    throw new EngineRefusal(403, `error while removing network: ${problem}`);
  }
  state.networks = state.networks.filter(({ Id }) => Id !== id);
  return 204;
}

/** The endpoints on a network that hold an address now. */
function endpointsOn(state: EngineState, networkId: string): EndpointItem[] {
  return state.containers.filter(isUp)
    .flatMap(({ NetworkSettings: { Networks } }) => Object.values(Networks))
    .filter(({ NetworkID, EndpointID }) => NetworkID === networkId && EndpointID !== "");
}

function connect({ state, id, body }: Call): number {
  const container = state.container(body.Container);
  const ipam = body.EndpointConfig?.IPAMConfig ?? null;
  const found = state.network(id);
  const present = container.NetworkSettings.Networks[found.Name];
  if (isUp(container) && present?.EndpointID) {
    const problem = `endpoint with name ${container.Names[0]!.slice(1)} already exists`;
    throw new EngineRefusal(403, `${problem} in network ${found.Name}`);
  }
  const endpoint = isUp(container) ? attach(state, found, ipam) : idleEndpoint(ipam);
  const networks = { ...container.NetworkSettings.Networks, [found.Name]: endpoint };
  state.replace({ ...container, NetworkSettings: { Networks: networks } });
  return 200;
}

function disconnect({ state, id, body }: Call): number {
  const container = state.container(body.Container);
  const { Name: name } = state.network(id);
  const { [name]: present, ...rest } = container.NetworkSettings.Networks;
  if (!present) {
    throw new EngineRefusal(500, `container ${container.Id} is not connected to network ${name}`);
  }
  state.replace({ ...container, NetworkSettings: { Networks: rest } });
  return 200;
}

/** Attaches a running container to a network: the endpoint with its address. */
function attach(
  state: EngineState,
  network: NetworkItem,
  ipam: EndpointItem["IPAMConfig"],
): EndpointItem {
  const idle = idleEndpoint(ipam, network.Id);
  const subnet = subnetIn(network);
  if (!subnet) return { ...idle, EndpointID: newId() };
  const wanted = ipam?.IPv4Address;
  const used = new Set(endpointsOn(state, network.Id).map(({ IPAddress }) => IPAddress));
  // The gateway takes the first address that is left.
  for (const own of [subnet.first, subnet.first + 1, subnet.last]) used.add(formatAddress(own));
  let address = parseAddress(wanted ?? "") ?? subnet.first + 2;
  while (!wanted && used.has(formatAddress(address))) address++;
  if (address < subnet.first || address > subnet.last) {
    const problem = "It does not belong to any of this network's subnets";
    throw new EngineRefusal(500, `Invalid address ${wanted}: ${problem}`);
  }
  const text = formatAddress(address);
  if (used.has(text)) throw new EngineRefusal(403, "Address already in use");
  return { ...idle, EndpointID: newId(), IPAddress: text };
}

function createContainer({ state, query, body }: Call): [number, unknown] {
  const mode: string = body.HostConfig?.NetworkMode || "default";
  if (mode.startsWith("container:") && body.Hostname) {
    throw new EngineRefusal(400, "conflicting options: hostname and the network mode");
  }
  const image: string = body.Image ?? "";
  const imageId = state.images.find(image);
  const name = query.get("name") ?? "";
  const other = state.containers.find(({ Names }) => Names.includes(`/${name}`));
  if (other) {
    const problem = `The container name "/${name}" is already in use by container "${other.Id}".`;
    const way = "You have to remove (or rename) that container to be able to reuse that name.";
    throw new EngineRefusal(409, `Conflict. ${problem} ${way}`);
  }
  const id = newId();
  const asked: Record<string, { IPAMConfig?: EndpointItem["IPAMConfig"] }> =
    body.NetworkingConfig?.EndpointsConfig ?? {};
  const [key = mode === "default" ? "bridge" : mode, endpoint] = Object.entries(asked)[0] ?? [];
  const base = mode.startsWith("container:") ? state.container(mode.slice(10)).Id : null;
  const item = container({ name, image, state: "created", labels: body.Labels ?? {} });
  state.containers = [{
    ...item,
    Id: id,
    ImageID: imageId,
    HostConfig: { NetworkMode: base === null ? mode : `container:${base}` },
    NetworkSettings: {
      Networks: base === null ? { [key]: idleEndpoint(endpoint?.IPAMConfig ?? null) } : {},
    },
  }, ...state.containers];
  state.bodies.set(id, body);
  return [201, { Id: id, Warnings: [] }];
}

function removeContainer({ state, id: reference, query }: Call): number {
  const container = state.container(reference);
  const { Id: id, State: present } = container;
  if (present === "removing") {
    throw new EngineRefusal(409, `removal of container ${reference} is already in progress`);
  }
  if (isUp(container) && !isTrue(query.get("force"))) {
    const way = present === "paused" ? "Unpause and then stop" : "Stop";
    const after = `${way} the container before attempting removal or force remove`;
    throw new EngineRefusal(409, `You cannot remove a ${present} container ${id}. ${after}`);
  }
  state.containers = state.containers.filter(({ Id }) => Id !== id);
  return 204;
}

function start({ state, id }: Call): number {
  const container = state.container(id);
  if (container.State === "paused") {
    throw new EngineRefusal(409, "cannot start a paused container, try unpause instead");
  }
  if (isUp(container)) return 304;
  const { NetworkMode: mode } = container.HostConfig;
  if (mode.startsWith("container:")) {
    const base = state.container(mode.slice(10));
    if (!isUp(base)) {
      throw new EngineRefusal(409, `cannot join network of a non running container: ${base.Id}`);
    }
    if (base.State === "restarting") {
      const way = "wait until the container is running";
      throw new EngineRefusal(409, `Container ${base.Id} is restarting, ${way}`);
    }
  }
  return setState(state, container, "running", (name, { NetworkID, IPAMConfig }) => {
    // A network that the container was on once is known by its id: another of its name won't do.
    return attach(state, state.network(NetworkID || name), IPAMConfig);
  });
}

function end(state: EngineState, container: ContainerItem): number {
  return setState(state, container, "exited", (_name, { IPAMConfig, NetworkID }) => {
    return idleEndpoint(IPAMConfig, NetworkID);
  });
}

/** Changes a container's state, and each of its endpoints by `change`. */
function setState(
  state: EngineState,
  container: ContainerItem,
  next: ContainerState,
  change = (_name: string, endpoint: EndpointItem) => endpoint,
): number {
  const networks = Object.entries(container.NetworkSettings.Networks)
    .map(([name, endpoint]) => [name, change(name, endpoint)] as const);
  state.replace({
    ...container,
    State: next,
    Status: statusText(next, "Less than a second"),
    NetworkSettings: { Networks: Object.fromEntries(networks) },
  });
  return 204;
}
