import {
  ApplyError,
  type ContainerCreation,
  failure,
  json,
  type NetworkCreation,
  type NetworkMembership,
  type Reply,
} from "./http.ts";
import {
  activeEndpoints,
  container,
  type ContainerItem,
  type ContainerState,
  containerStates,
  type EndpointItem,
  type EngineState,
  idleEndpoint,
  type Images,
  isPredefined,
  isUp,
  liveEndpoint,
  network,
  type NetworkItem,
  newId,
  overlap,
  parseAddress,
  type Pool,
  readAddress,
  readSubnet,
  refuseOwnAddress,
  showAddress,
  type Subnet,
} from "./state.ts";

const namePattern = "[a-zA-Z0-9][a-zA-Z0-9_.-]";

/** Answers `POST /containers/create?name=…`. Throws `Refusal`. */
export function createContainer(state: EngineState, wanted: string, body: ContainerCreation) {
  const mode = body.HostConfig?.NetworkMode || "default";
  if (mode.startsWith("container:") && body.Hostname) {
    throw new ApplyError(400, "conflicting options: hostname and the network mode");
  }
  const asked = body.NetworkingConfig?.EndpointsConfig ?? {};
  checkEndpoints(asked);
  if (!body.Image && !body.Cmd) throw new ApplyError(400, "No command specified");
  const image = body.Image ?? "";
  const imageId = image === "" ? "" : state.images.find(image).id;
  const id = newId();
  const name = wanted === "" ? `made_${id.slice(0, 12)}` : reserveName(state, wanted);
  const item = container({
    name,
    image,
    state: "created",
    labels: body.Labels ?? {},
    networkMode: "none",
  });
  state.containers = [{
    ...item,
    Id: id,
    ImageID: imageId,
    Command: body.Cmd?.join(" ") ?? "",
    Created: Math.floor(Date.now() / 1000),
    HostConfig: { NetworkMode: resolveMode(state, mode) },
    NetworkSettings: { Networks: endpoints(state, mode, asked) },
  }, ...state.containers];
  state.bodies.set(id, body);
  return { Id: id, Warnings: [] };
}

/** Answers `DELETE /containers/{id}`. Throws `Refusal`. */
export function removeContainer(state: EngineState, reference: string, force: boolean): void {
  const { Id: id, State: present, ...item } = state.container(reference);
  if (present === "removing") {
    throw new ApplyError(409, `removal of container ${reference} is already in progress`);
  }
  if (isUp({ ...item, Id: id, State: present }) && !force) {
    const way = present === "paused" ? "Unpause and then stop" : "Stop";
    throw new ApplyError(
      409,
      `You cannot remove a ${present} container ${id}. ` +
        `${way} the container before attempting removal or force remove`,
    );
  }
  state.containers = state.containers.filter(({ Id }) => Id !== id);
}

/** Answers `POST /containers/{id}/rename?name=…`, as far as tests do it. Throws `Refusal`. */
export function rename(state: EngineState, reference: string, wanted: string): void {
  const container = state.container(reference);
  state.replace({ ...container, Names: [`/${reserveName(state, wanted)}`] });
}

type AskedEndpoints = NonNullable<
  NonNullable<ContainerCreation["NetworkingConfig"]>["EndpointsConfig"]
>;

/** An engine of this age takes one endpoint only, and looks no further than at its address. */
function checkEndpoints(asked: AskedEndpoints): void {
  const names = Object.keys(asked);
  if (names.length > 1) {
    const list = names.join(", ");
    throw new ApplyError(400, `Container cannot be connected to network endpoints: ${list}`);
  }
  for (const [name, endpoint] of Object.entries(asked)) {
    if (!endpoint) throw new ApplyError(400, `no EndpointSettings for ${name}`);
    const address = endpoint.IPAMConfig?.IPv4Address;
    if (address && readAddress(address) === undefined) {
      throw new ApplyError(400, `invalid IPv4 address: ${address}`);
    }
  }
}

function reserveName(state: EngineState, wanted: string): string {
  const name = wanted.replace(/^\//, "");
  if (!new RegExp(`^${namePattern}+$`).test(name)) {
    throw new ApplyError(
      400,
      `Invalid container name (${wanted}), only ${namePattern} are allowed`,
    );
  }
  const other = state.containers.find(({ Names }) => Names.includes(`/${name}`));
  if (other) {
    const way = "You have to remove (or rename) that container to be able to reuse that name.";
    const conflict = `The container name "/${name}" is already in use by container "${other.Id}".`;
    throw new ApplyError(409, `Conflict. ${conflict} ${way}`);
  }
  return name;
}

/** A shared network goes by the other's id; when there is no such container, nobody minds yet. */
function resolveMode(state: EngineState, mode: string): string {
  if (!mode.startsWith("container:")) return mode;
  try {
    return `container:${state.container(mode.slice("container:".length)).Id}`;
  } catch (error) {
    if (error instanceof ApplyError) return mode;
    throw error;
  }
}

function endpoints(
  state: EngineState,
  mode: string,
  asked: AskedEndpoints,
): Record<string, EndpointItem> {
  if (mode.startsWith("container:")) return {};
  const [name = mode === "default" ? "bridge" : mode, endpoint] = Object.entries(asked)[0] ?? [];
  const key = state.findNetwork(name)?.Name ?? name;
  return { [key]: idleEndpoint(endpoint?.IPAMConfig ?? null) };
}

const statusTexts: Partial<Record<ContainerState, string>> = {
  running: "Up Less than a second",
  paused: "Up Less than a second (Paused)",
  exited: "Exited (137) Less than a second ago",
};

/** Starts a container: the status of the answer, 204 or 304. Throws `Refusal`. */
export function start(state: EngineState, reference: string): number {
  const container = state.container(reference);
  if (container.State === "paused") {
    throw new ApplyError(409, "cannot start a paused container, try unpause instead");
  }
  if (isUp(container)) return 304;
  if (container.State === "dead" || container.State === "removing") {
    throw new ApplyError(409, "container is marked for removal and cannot be started");
  }
  const mode = container.HostConfig.NetworkMode;
  if (mode.startsWith("container:")) {
    checkBase(state, mode.slice("container:".length));
    setState(state, container, "running", container.NetworkSettings.Networks);
  } else {
    setState(state, container, "running", attachAll(state, container));
  }
  return 204;
}

/** Stops a container: the status of the answer, 204 or 304. Throws `Refusal`. */
export function stop(state: EngineState, reference: string): number {
  const container = state.container(reference);
  if (!isUp(container)) return 304;
  end(state, container);
  return 204;
}

/** Kills a container. Throws `Refusal`. */
export function kill(state: EngineState, reference: string): number {
  try {
    const container = state.container(reference);
    if (!isUp(container)) throw notRunning(container);
    end(state, container);
    return 204;
  } catch (error) {
    throw prefixed(error, `Cannot kill container: ${reference}`);
  }
}

/** Stops a container that runs, then starts it: when that fails, it has ended. Throws `Refusal`. */
export function restart(state: EngineState, reference: string): number {
  const container = state.container(reference);
  if (isUp(container)) end(state, container);
  try {
    start(state, reference);
  } catch (error) {
    throw prefixed(error, `Cannot restart container ${reference}`, 500);
  }
  return 204;
}

/** Pauses a container. Throws `Refusal`. */
export function pause(state: EngineState, reference: string): number {
  const container = state.container(reference);
  const { Id: id, State: present } = container;
  if (!isUp(container)) throw notRunning(container);
  if (present === "paused") throw new ApplyError(409, `Container ${id} is already paused`);
  if (present === "restarting") throw restarting(container);
  setState(state, container, "paused", container.NetworkSettings.Networks);
  return 204;
}

/** Lets a paused container go on. Throws `Refusal`. */
export function unpause(state: EngineState, reference: string): number {
  const container = state.container(reference);
  if (container.State !== "paused") {
    throw new ApplyError(500, `Container ${container.Id} is not paused`);
  }
  setState(state, container, "running", container.NetworkSettings.Networks);
  return 204;
}

function end(state: EngineState, container: ContainerItem): void {
  const networks = Object.entries(container.NetworkSettings.Networks).map(([name, endpoint]) => {
    return [name, idleEndpoint(endpoint.IPAMConfig, endpoint.NetworkID)];
  });
  setState(state, container, "exited", Object.fromEntries(networks));
}

/** A network that the container was on once is known by its id: one of the same name won't do. */
function attachAll(state: EngineState, container: ContainerItem): Record<string, EndpointItem> {
  const networks = Object.entries(container.NetworkSettings.Networks).map(([name, endpoint]) => {
    const network = state.network(endpoint.NetworkID || name);
    return [name, liveEndpoint(state, network, endpoint.IPAMConfig)];
  });
  return Object.fromEntries(networks);
}

function checkBase(state: EngineState, reference: string): void {
  const base = state.container(reference);
  if (base.State === "restarting") throw restarting(base);
  if (!isUp(base)) {
    throw new ApplyError(409, `cannot join network of a non running container: ${base.Id}`);
  }
}

function setState(
  state: EngineState,
  container: ContainerItem,
  next: ContainerState,
  networks: Record<string, EndpointItem>,
): void {
  state.replace({
    ...container,
    State: next,
    Status: statusTexts[next] ?? next,
    NetworkSettings: { Networks: networks },
  });
}

function notRunning({ Id: id }: ContainerItem): ApplyError {
  return new ApplyError(409, `Container ${id} is not running`);
}

function restarting({ Id: id }: ContainerItem): ApplyError {
  return new ApplyError(409, `Container ${id} is restarting, wait until the container is running`);
}

function prefixed(error: unknown, prefix: string, status?: number): unknown {
  if (!(error instanceof ApplyError)) return error;
  return new ApplyError(status ?? error.status, `${prefix}: ${error.message}`);
}

/** Answers `GET /networks`. */
export function listNetworks(items: readonly NetworkItem[], query: URLSearchParams): Reply {
  const filters = parseFilters(query, ["name", "label", "driver"]);
  if (!(filters instanceof Map)) return filters;
  return json(
    200,
    items.filter((item) =>
      matchesName(filters, [item.Name]) && matchesLabels(filters, item.Labels) &&
      (filters.get("driver")?.includes(item.Driver) ?? true)
    ),
  );
}

/** Answers `GET /containers/json`. */
export function listContainers(
  items: readonly ContainerItem[],
  query: URLSearchParams,
  images: Images,
): Reply {
  const filters = parseFilters(query, ["name", "label", "status"]);
  if (!(filters instanceof Map)) return filters;
  const states = filters.get("status");
  const unknown = states?.find((state) => !(containerStates as readonly string[]).includes(state));
  if (unknown !== undefined) return failure(400, `Invalid filter 'status=${unknown}'`);
  const limit = Number(query.get("limit") ?? 0);
  const all = isTrue(query.get("all")) || limit > 0;
  const wanted: readonly string[] = states ??
    (all ? containerStates : ["running", "paused", "restarting"]);
  return json(
    200,
    items.filter((item) =>
      wanted.includes(item.State) && matchesLabels(filters, item.Labels) &&
      matchesName(filters, item.Names.flatMap((name) => [name, name.slice(1)]))
    ).slice(0, limit > 0 ? limit : undefined).map((item) => ({
      ...item,
      Image: images.listedName(item.Image, item.ImageID),
    })),
  );
}

/** Whether a switch in the query is on. */
export function isTrue(value: string | null): boolean {
  return !["", "0", "no", "false", "none"].includes((value ?? "").toLowerCase());
}

/** The filters by name, empty ones left out; or the refusal of what is no filter of this list. */
function parseFilters(query: URLSearchParams, known: string[]): Map<string, string[]> | Reply {
  let parsed: Record<string, string[] | Record<string, boolean>>;
  try {
    parsed = JSON.parse(query.get("filters") || "{}");
  } catch {
    return failure(400, "invalid character in filters");
  }
  const filters = new Map<string, string[]>();
  for (const [name, given] of Object.entries(parsed)) {
    if (!known.includes(name)) return failure(400, `Invalid filter '${name}'`);
    const values = Array.isArray(given) ? given : Object.keys(given);
    if (values.length > 0) filters.set(name, values);
  }
  return filters;
}

/** As the engine has it: each value is a regular expression, found anywhere; one has to match. */
function matchesName(filters: Map<string, string[]>, names: string[]): boolean {
  const patterns = filters.get("name");
  if (!patterns) return true;
  try {
    return patterns.some((pattern) => names.some((name) => new RegExp(pattern).test(name)));
  } catch {
    return false;
  }
}

/** Each value is `key` or `key=value`; all have to match. */
function matchesLabels(filters: Map<string, string[]>, labels: Record<string, string>): boolean {
  return (filters.get("label") ?? []).every((wanted) => {
    const [key = "", ...value] = wanted.split("=");
    return Object.hasOwn(labels, key) && (value.length === 0 || labels[key] === value.join("="));
  });
}

const drivers = ["bridge", "macvlan", "ipvlan", "overlay", "host", "null"];
const lonely = "container cannot be connected to multiple networks with one of the networks in " +
  "private (none) mode";
const shared = "container sharing network namespace with another container or host cannot be " +
  "connected to any other network";

/** Answers `POST /networks/create`. Throws `Refusal`. */
export function createNetwork(state: EngineState, body: NetworkCreation) {
  const { Name: name = "", Driver: driver = "bridge", Labels: labels } = body;
  if (isPredefined(name)) {
    throw new ApplyError(403, `operation is not permitted on predefined ${name} network `);
  }
  const namesake = state.networks.find(({ Name }) => Name === name);
  if (namesake && body.CheckDuplicate) {
    throw new ApplyError(409, `network with name ${name} already exists`);
  }
  if (name === "") throw new ApplyError(500, "invalid name: ");
  if (!drivers.includes(driver)) throw new ApplyError(404, `plugin "${driver}" not found`);
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
    throw new ApplyError(403, `${name} is a pre-defined network and cannot be removed`);
  }
  if (activeEndpoints(state, id).length > 0) {
    const problem = `network ${name} id ${id} has active endpoints`;
    throw new ApplyError(403, `error while removing network: ${problem}`);
  }
  state.networks = state.networks.filter(({ Id }) => Id !== id);
}

/** Answers `POST /networks/{id}/connect`. Throws `Refusal`. */
export function connect(state: EngineState, reference: string, body: NetworkMembership): void {
  const container = state.container(body.Container ?? "");
  const ipam = body.EndpointConfig?.IPAMConfig ?? null;
  const mode = container.HostConfig.NetworkMode;
  if (isUp(container)) {
    if (mode.startsWith("container:")) throw new ApplyError(400, shared);
    const network = state.network(reference);
    refuseMix(container, network);
    const address = ipam?.IPv4Address;
    if (address) refuseOwnAddress(network);
    if (address) parseAddress(address);
    const present = container.NetworkSettings.Networks[network.Name];
    if (present?.EndpointID) {
      const name = container.Names[0]!.slice(1);
      throw new ApplyError(
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
    if (!(error instanceof ApplyError && error.status === 404 && network && force)) throw error;
    throw new ApplyError(404, `endpoint ${body.Container} not found`);
  }
  if (isUp(container) && !network && !force) state.network(reference);
  const name = network?.Name ?? reference;
  if (!(name in container.NetworkSettings.Networks)) {
    const the = isUp(container) && network ? "" : "the ";
    throw new ApplyError(
      500,
      `container ${container.Id} is not connected to ${the}network ${name}`,
    );
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
  if (mode === "host") throw new ApplyError(400, shared);
  if (network.Driver === "host") {
    const problem =
      "container cannot be disconnected from host network or connected to host network";
    throw new ApplyError(400, problem);
  }
  if (network.Driver === "null" || mode === "none") throw new ApplyError(400, lonely);
}

/** The wanted pools, or one of the engine's own choice. */
function choosePools(state: EngineState, wanted: Pool[]): Pool[] {
  const others = state.networks.flatMap(({ IPAM }) => IPAM.Config)
    .map(({ Subnet }) => readSubnet(Subnet)).filter((it) => it !== undefined);
  const isFree = (subnet: Subnet) => !others.some((other) => overlap(subnet, other));
  for (const { Subnet: text } of wanted) {
    const subnet = readSubnet(text);
    if (!subnet) {
      throw new ApplyError(500, `Invalid subnet ${text} : invalid CIDR address: ${text}`);
    }
    if (!isFree(subnet)) {
      throw new ApplyError(403, "Pool overlaps with other one on this address space");
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
  throw new ApplyError(404, problem);
}
