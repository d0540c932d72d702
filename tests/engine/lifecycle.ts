import { idleEndpoint, isUp, liveEndpoint } from "./endpoints.ts";
import type { ContainerItem, ContainerState, EndpointItem } from "./items.ts";
import { Refusal } from "./refusal.ts";
import type { EngineState } from "./state.ts";

const statusTexts: Partial<Record<ContainerState, string>> = {
  running: "Up Less than a second",
  paused: "Up Less than a second (Paused)",
  exited: "Exited (137) Less than a second ago",
};

/** Starts a container: the status of the answer, 204 or 304. Throws `Refusal`. */
export function start(state: EngineState, reference: string): number {
  const container = state.container(reference);
  if (container.State === "paused") {
    throw new Refusal(409, "cannot start a paused container, try unpause instead");
  }
  if (isUp(container)) return 304;
  if (container.State === "dead" || container.State === "removing") {
    throw new Refusal(409, "container is marked for removal and cannot be started");
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
  if (present === "paused") throw new Refusal(409, `Container ${id} is already paused`);
  if (present === "restarting") throw restarting(container);
  setState(state, container, "paused", container.NetworkSettings.Networks);
  return 204;
}

/** Lets a paused container go on. Throws `Refusal`. */
export function unpause(state: EngineState, reference: string): number {
  const container = state.container(reference);
  if (container.State !== "paused") {
    throw new Refusal(500, `Container ${container.Id} is not paused`);
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
    throw new Refusal(409, `cannot join network of a non running container: ${base.Id}`);
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

function notRunning({ Id: id }: ContainerItem): Refusal {
  return new Refusal(409, `Container ${id} is not running`);
}

function restarting({ Id: id }: ContainerItem): Refusal {
  return new Refusal(409, `Container ${id} is restarting, wait until the container is running`);
}

function prefixed(error: unknown, prefix: string, status?: number): unknown {
  if (!(error instanceof Refusal)) return error;
  return new Refusal(status ?? error.status, `${prefix}: ${error.message}`);
}
