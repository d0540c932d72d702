import type { ContainerCreation } from "./bodies.ts";
import { idleEndpoint, isUp } from "./endpoints.ts";
import { container, type EndpointItem, newId } from "./items.ts";
import { Refusal } from "./refusal.ts";
import type { EngineState } from "./state.ts";
import { readAddress } from "./subnets.ts";

const namePattern = "[a-zA-Z0-9][a-zA-Z0-9_.-]";

/** Answers `POST /containers/create?name=…`. Throws `Refusal`. */
export function createContainer(state: EngineState, wanted: string, body: ContainerCreation) {
  const mode = body.HostConfig?.NetworkMode || "default";
  if (mode.startsWith("container:") && body.Hostname) {
    throw new Refusal(400, "conflicting options: hostname and the network mode");
  }
  const asked = body.NetworkingConfig?.EndpointsConfig ?? {};
  checkEndpoints(asked);
  if (!body.Image && !body.Cmd) throw new Refusal(400, "No command specified");
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
    throw new Refusal(409, `removal of container ${reference} is already in progress`);
  }
  if (isUp({ ...item, Id: id, State: present }) && !force) {
    const way = present === "paused" ? "Unpause and then stop" : "Stop";
    throw new Refusal(
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
    throw new Refusal(400, `Container cannot be connected to network endpoints: ${list}`);
  }
  for (const [name, endpoint] of Object.entries(asked)) {
    if (!endpoint) throw new Refusal(400, `no EndpointSettings for ${name}`);
    const address = endpoint.IPAMConfig?.IPv4Address;
    if (address && readAddress(address) === undefined) {
      throw new Refusal(400, `invalid IPv4 address: ${address}`);
    }
  }
}

function reserveName(state: EngineState, wanted: string): string {
  const name = wanted.replace(/^\//, "");
  if (!new RegExp(`^${namePattern}+$`).test(name)) {
    throw new Refusal(400, `Invalid container name (${wanted}), only ${namePattern} are allowed`);
  }
  const other = state.containers.find(({ Names }) => Names.includes(`/${name}`));
  if (other) {
    const way = "You have to remove (or rename) that container to be able to reuse that name.";
    const conflict = `The container name "/${name}" is already in use by container "${other.Id}".`;
    throw new Refusal(409, `Conflict. ${conflict} ${way}`);
  }
  return name;
}

/** A shared network goes by the other's id; when there is no such container, nobody minds yet. */
function resolveMode(state: EngineState, mode: string): string {
  if (!mode.startsWith("container:")) return mode;
  try {
    return `container:${state.container(mode.slice("container:".length)).Id}`;
  } catch (error) {
    if (error instanceof Refusal) return mode;
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
