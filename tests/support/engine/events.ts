import { chunk, closeQuietly, encode, headOf, json, writeAll } from "./http.ts";
import { type ContainerItem, type EndpointItem, isUp, type NetworkItem } from "./state.ts";

interface Holdings {
  readonly networks: readonly NetworkItem[];
  readonly containers: readonly ContainerItem[];
}

/** One event, as far as the stand-in sends it. */
interface EngineEvent {
  readonly Type: "container" | "network";
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
}

/** The events that the engine would have sent between two moments, in its order. */
function eventsBetween(before: Holdings, after: Holdings): EngineEvent[] {
  const missingIn = <Item extends { Id: string }>(
    items: readonly Item[],
    others: readonly Item[],
  ) => {
    const ids = new Set(others.map(({ Id }) => Id));
    return items.filter(({ Id }) => !ids.has(Id));
  };
  const old = new Map(before.containers.map((container) => [container.Id, container]));
  return [
    ...missingIn(after.networks, before.networks).map((it) => networkEvent("create", it)),
    ...after.containers.flatMap((it) => {
      const was = old.get(it.Id);
      const changes = changesOf(was ?? { ...it, State: "created" }, it);
      return was ? changes : [containerEvent("create", it), ...changes];
    }),
    ...missingIn(before.containers, after.containers).flatMap((it) => [
      ...changesOf(it, { ...it, State: "exited" }),
      containerEvent("destroy", it),
    ]),
    ...missingIn(before.networks, after.networks).map((it) => networkEvent("destroy", it)),
  ];
}

function changesOf(before: ContainerItem, after: ContainerItem): EngineEvent[] {
  const [was, is] = [isUp(before), isUp(after)];
  const events: EngineEvent[] = [];
  const add = (action: string, more = {}) => events.push(containerEvent(action, after, more));
  if (before.Names[0] !== after.Names[0]) add("rename", { oldName: before.Names[0]! });
  if (was && !is) add("die", { exitCode: "137" });
  events.push(
    ...attachmentsOnlyOf(before, after).map((it) => attachmentEvent("disconnect", it, after)),
  );
  events.push(
    ...attachmentsOnlyOf(after, before).map((it) => attachmentEvent("connect", it, after)),
  );
  if (!was && is) add("start");
  if (was && is && before.State !== after.State) {
    add(after.State === "paused" ? "pause" : "unpause");
  }
  const health = healthOf(after);
  if (was && is && health && healthOf(before) !== health) add(`health_status: ${health}`);
  return events;
}

/** The networks that a running container is on, and is not on, or not running, at the other moment. */
function attachmentsOnlyOf(one: ContainerItem, other: ContainerItem): [string, EndpointItem][] {
  if (!isUp(one)) return [];
  const others = isUp(other) ? other.NetworkSettings.Networks : {};
  return Object.entries(one.NetworkSettings.Networks).filter(([name]) => !(name in others));
}

function healthOf({ Status }: ContainerItem): string | undefined {
  return /\((?:health: )?(healthy|unhealthy|starting)\)/.exec(Status)?.[1];
}

function containerEvent(action: string, container: ContainerItem, more = {}): EngineEvent {
  const { Id: id, Names: [name], Image: image, Labels: labels } = container;
  const attributes = { ...labels, image, name: name!.slice(1), ...more };
  return { Type: "container", Action: action, Actor: { ID: id, Attributes: attributes } };
}

function networkEvent(
  action: string,
  { Id: id, Name: name, Driver: type }: NetworkItem,
): EngineEvent {
  return { Type: "network", Action: action, Actor: { ID: id, Attributes: { name, type } } };
}

function attachmentEvent(
  action: string,
  [name, { NetworkID: id }]: [string, EndpointItem],
  { Id: container }: ContainerItem,
): EngineEvent {
  const attributes = { container, name, type: "bridge" };
  return { Type: "network", Action: action, Actor: { ID: id, Attributes: attributes } };
}

/** One connection that listens to events. */
class EventStream {
  readonly #filters: Readonly<Record<string, readonly string[]>>;
  #written: Promise<unknown> = Promise.resolve();
  #hasHead = false;

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
      this.write(chunk(`${JSON.stringify({ ...old, ...it, scope: "local" })}\n`));
    }
  }

  /** Writes bytes as they are; the head, if it has not gone out yet, goes before them. */
  write(bytes: Uint8Array): void {
    const head = this.#hasHead ? "" : headOf(json(200, null), { "Transfer-Encoding": "chunked" });
    this.#hasHead = true;
    const all = new Uint8Array([...encode(head), ...bytes]);
    // A client that has gone misses it.
    this.#written = this.#written.then(() => writeAll(this.connection, all)).catch(() => {});
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
    if (!this.isHeadLate) stream.write(new Uint8Array());
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
