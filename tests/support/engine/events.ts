import { closeQuietly, headOf, writeAll } from "./http.ts";
import {
  type ContainerItem,
  type EndpointItem,
  type EngineState,
  isUp,
  type NetworkItem,
} from "./state.ts";

type Holdings = Pick<EngineState, "networks" | "containers">;

/** One event, as far as the stand-in sends it. */
interface EngineEvent {
  readonly Type: "container" | "network";
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
}

/** The events that the engine would have sent between two moments, in its order. */
function eventsBetween(before: Holdings, after: Holdings): EngineEvent[] {
  const old = new Map(before.containers.map((container) => [container.Id, container]));
  return [
    ...without(after.networks, before.networks).map((it) => networkEvent("create", it)),
    ...after.containers.flatMap((it) => {
      const was = old.get(it.Id);
      const changes = changesOf(was ?? { ...it, State: "created" }, it);
      return was ? changes : [containerEvent("create", it), ...changes];
    }),
    ...without(before.containers, after.containers).flatMap((it) => [
      ...changesOf(it, { ...it, State: "exited" }),
      containerEvent("destroy", it),
    ]),
    ...without(before.networks, after.networks).map((it) => networkEvent("destroy", it)),
  ];
}

/** The items that are not among others. */
function without<Item extends { Id: string }>(items: readonly Item[], others: readonly Item[]) {
  const ids = new Set(others.map(({ Id }) => Id));
  return items.filter(({ Id }) => !ids.has(Id));
}

function changesOf(before: ContainerItem, after: ContainerItem): EngineEvent[] {
  const [was, is] = [isUp(before), isUp(after)];
  const actions: EngineEvent[] = [];
  const add = (action: string, more = {}) => actions.push(containerEvent(action, after, more));
  if (before.Names[0] !== after.Names[0]) add("rename", { oldName: before.Names[0]! });
  if (was && !is) add("die", { exitCode: "137" });
  actions.push(...attachmentEvents("disconnect", before, after));
  actions.push(...attachmentEvents("connect", after, before));
  if (!was && is) add("start");
  if (was && is && before.State !== after.State) {
    add(after.State === "paused" ? "pause" : "unpause");
  }
  const health = healthOf(after);
  if (was && is && health && healthOf(before) !== health) add(`health_status: ${health}`);
  return actions;
}

function healthOf({ Status }: ContainerItem): string | undefined {
  return /\((healthy|unhealthy)\)/.exec(Status)?.[1];
}

function containerEvent(action: string, container: ContainerItem, more = {}): EngineEvent {
  const { Id: id, Names: [name], Image: image, Labels: labels } = container;
  const attributes = { ...labels, image, name: name!.slice(1), ...more };
  return { Type: "container", Action: action, Actor: { ID: id, Attributes: attributes } };
}

function networkEvent(
  action: string,
  { Id: id, Name: name, Driver: type }: Pick<NetworkItem, "Id" | "Name" | "Driver">,
  more = {},
): EngineEvent {
  const attributes = { name, type, ...more };
  return { Type: "network", Action: action, Actor: { ID: id, Attributes: attributes } };
}

/** The events of the networks that a container is attached to now, and not at the other moment. */
function attachmentEvents(action: string, now: ContainerItem, other: ContainerItem): EngineEvent[] {
  const others = attachments(other);
  return Object.entries(attachments(now)).filter(([name]) => !(name in others))
    .map(([name, { NetworkID }]) => {
      const network = { Id: NetworkID, Name: name, Driver: "bridge" };
      return networkEvent(action, network, { container: now.Id });
    });
}

function attachments(container: ContainerItem): Record<string, EndpointItem> {
  return isUp(container) ? container.NetworkSettings.Networks : {};
}

/** One connection that listens to events. */
class EventStream {
  readonly #filters: Readonly<Record<string, readonly string[]>>;
  #head = headOf(200, {}, 0);
  #written: Promise<unknown> = Promise.resolve();

  constructor(readonly connection: Deno.Conn, query: URLSearchParams) {
    this.#filters = JSON.parse(query.get("filters") || "{}");
  }

  /** Sends those of the events that the filters let through. */
  send(events: readonly EngineEvent[]): void {
    const { type, event } = this.#filters;
    for (const it of events) {
      if (type?.includes(it.Type) === false) continue;
      if (event?.includes(it.Action.split(":")[0]!) === false) continue;
      const { ID: id, Attributes: { image: from } } = it.Actor;
      const old = it.Type === "container" ? { status: it.Action, id, from } : {};
      this.write(`${JSON.stringify({ ...old, ...it, scope: "local" })}\n`);
    }
  }

  /** Writes a text or bytes as they are, and the head before the first. */
  write(content: string | Uint8Array): void {
    const parts = [this.#head, content];
    this.#head = "";
    for (const part of parts) {
      // A client that has gone misses it.
      this.#written = this.#written.then(() => writeAll(this.connection, part)).catch(() => {});
    }
  }
}

/** The clients that listen to the stand-in's events. */
export class EventStreams {
  /** Whether the head waits for the first event, as no known engine does. */
  isHeadLate = false;
  #last: Holdings = { networks: [], containers: [] };
  readonly #streams = new Set<EventStream>();

  /** How many there are. */
  get count(): number {
    return this.#streams.size;
  }

  /** Adds a client; the answer removes it. */
  add(connection: Deno.Conn, query: URLSearchParams): () => void {
    const stream = new EventStream(connection, query);
    if (!this.isHeadLate) stream.write("");
    this.#streams.add(stream);
    return () => this.#streams.delete(stream);
  }

  /** Sends what is different from the last time. */
  changed({ networks, containers }: Holdings): void {
    const before = this.#last;
    this.#last = { networks, containers };
    if (this.#streams.size > 0) this.tell(...eventsBetween(before, this.#last));
  }

  /** Sends events to all. */
  tell(...events: EngineEvent[]): void {
    for (const stream of this.#streams) stream.send(events);
  }

  /** Sends bytes to all, whatever they are. */
  write(bytes: Uint8Array): void {
    for (const stream of this.#streams) stream.write(bytes);
  }

  /** Ends all streams in the middle. */
  cut(): void {
    for (const { connection } of this.#streams) closeQuietly(connection);
  }
}
