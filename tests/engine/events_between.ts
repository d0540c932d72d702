import { isUp } from "./endpoints.ts";
import type { ContainerItem, EndpointItem, NetworkItem } from "./items.ts";

/** What an engine has at one moment. */
export interface Holdings {
  readonly networks: readonly NetworkItem[];
  readonly containers: readonly ContainerItem[];
}

/** One event, as far as a stand-in can tell it. */
export interface EngineEvent {
  readonly Type: "container" | "network";
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
}

/** What the engine would have told between two moments, in its order. */
export function eventsBetween(before: Holdings, after: Holdings): EngineEvent[] {
  const [oldNetworks, newNetworks] = [byId(before.networks), byId(after.networks)];
  const [oldContainers, newContainers] = [byId(before.containers), byId(after.containers)];
  const events: EngineEvent[] = [];
  for (const [id, network] of newNetworks) {
    if (!oldNetworks.has(id)) events.push(ofNetwork("create", network));
  }
  for (const [id, container] of newContainers) {
    const old = oldContainers.get(id);
    if (!old) events.push(ofContainer("create", container));
    events.push(...changesOf(old ?? { ...container, State: "created" }, container));
  }
  for (const [id, container] of oldContainers) {
    if (newContainers.has(id)) continue;
    if (isUp(container)) events.push(...changesOf(container, { ...container, State: "exited" }));
    events.push(ofContainer("destroy", container));
  }
  for (const [id, network] of oldNetworks) {
    if (!newNetworks.has(id)) events.push(ofNetwork("destroy", network));
  }
  return events;
}

function changesOf(before: ContainerItem, after: ContainerItem): EngineEvent[] {
  const [was, is] = [isUp(before), isUp(after)];
  const [lost, gained] = [liveTies(before, after), liveTies(after, before)];
  return [
    ...(before.Names[0] !== after.Names[0]
      ? [ofContainer("rename", after, { oldName: before.Names[0]! })]
      : []),
    ...(was && !is ? [ofContainer("die", after, { exitCode: "137" })] : []),
    ...lost.map((tie) => ofTie("disconnect", tie, after)),
    ...gained.map((tie) => ofTie("connect", tie, after)),
    ...(!was && is ? [ofContainer("start", after)] : []),
    ...(was && is && before.State !== after.State
      ? [ofContainer(after.State === "paused" ? "pause" : "unpause", after)]
      : []),
    ...(was && is && healthOf(after) && healthOf(before) !== healthOf(after)
      ? [ofContainer(`health_status: ${healthOf(after)}`, after)]
      : []),
  ];
}

/** The networks that a running container is on, and was not, or not running, at the other moment. */
function liveTies(one: ContainerItem, other: ContainerItem): [string, EndpointItem][] {
  if (!isUp(one)) return [];
  const others = isUp(other) ? other.NetworkSettings.Networks : {};
  return Object.entries(one.NetworkSettings.Networks).filter(([name]) => !(name in others));
}

function healthOf({ Status }: ContainerItem): string | undefined {
  return /\((?:health: )?(healthy|unhealthy|starting)\)/.exec(Status)?.[1];
}

function ofContainer(action: string, container: ContainerItem, more = {}): EngineEvent {
  const { Id: id, Names: [name], Image: image, Labels: labels } = container;
  const attributes = { ...labels, image, name: name!.slice(1), ...more };
  return { Type: "container", Action: action, Actor: { ID: id, Attributes: attributes } };
}

function ofNetwork(action: string, { Id: id, Name: name, Driver: type }: NetworkItem): EngineEvent {
  return { Type: "network", Action: action, Actor: { ID: id, Attributes: { name, type } } };
}

function ofTie(
  action: string,
  [name, { NetworkID: id }]: [string, EndpointItem],
  { Id: container }: ContainerItem,
): EngineEvent {
  const attributes = { container, name, type: "bridge" };
  return { Type: "network", Action: action, Actor: { ID: id, Attributes: attributes } };
}

function byId<Item extends { readonly Id: string }>(items: readonly Item[]): Map<string, Item> {
  return new Map(items.map((item) => [item.Id, item]));
}
