import { type EngineEvent, eventsBetween, type Holdings } from "./events_between.ts";
import { closeQuietly, writeAll } from "./connection.ts";
import { chunk, encode, headOf, json } from "./reply.ts";

type Filters = Readonly<Record<string, readonly string[]>>;

/** One connection that listens. */
class EventStream {
  readonly #connection: Deno.Conn;
  readonly #filters: Filters;
  #written: Promise<unknown> = Promise.resolve();
  #hasHead = false;

  constructor(connection: Deno.Conn, query: URLSearchParams) {
    this.#connection = connection;
    this.#filters = JSON.parse(query.get("filters") || "{}");
  }

  /** Tells events, as far as they are wanted. */
  tell(events: readonly EngineEvent[]): void {
    const lines = events.filter((event) => this.#wants(event)).map((event) => {
      const { Type, Action, Actor } = event;
      const old = { status: Action, id: Actor.ID, from: Actor.Attributes.image };
      return `${JSON.stringify({ ...(Type === "container" && old), ...event, scope: "local" })}\n`;
    });
    for (const line of lines) this.write(chunk(line));
  }

  /** Writes bytes as they are; the head, if it has not gone out yet, goes before them. */
  write(bytes: Uint8Array): void {
    const head = this.#hasHead ? "" : headOf(json(200, null), { "Transfer-Encoding": "chunked" });
    this.#hasHead = true;
    const all = new Uint8Array([...encode(head), ...bytes]);
    // Who does not listen any more has gone.
    this.#written = this.#written.then(() => writeAll(this.#connection, all)).catch(() => {});
  }

  close(): void {
    closeQuietly(this.#connection);
  }

  #wants({ Type, Action }: EngineEvent): boolean {
    const { type, event } = this.#filters;
    const verb = Action.split(":")[0]!;
    return (type?.includes(Type) ?? true) && (event?.includes(verb) ?? true);
  }
}

/** Those who listen to a stand-in's events. */
export class EventStreams {
  /** Whether the head waits for the first event, as no known engine does. */
  isHeadLate = false;
  #last: Holdings = { networks: [], containers: [] };
  readonly #streams = new Set<EventStream>();

  /** How many there are. */
  get count(): number {
    return this.#streams.size;
  }

  /** Takes one more; the answer is what takes it away again. */
  add(connection: Deno.Conn, query: URLSearchParams): () => void {
    const stream = new EventStream(connection, query);
    if (!this.isHeadLate) stream.write(new Uint8Array());
    this.#streams.add(stream);
    return () => this.#streams.delete(stream);
  }

  /** Tells what is different from the last time. */
  changed(now: Holdings): void {
    const before = this.#last;
    this.#last = { networks: now.networks, containers: now.containers };
    if (this.#streams.size > 0) this.tell(...eventsBetween(before, this.#last));
  }

  /** Tells events to all. */
  tell(...events: EngineEvent[]): void {
    for (const stream of this.#streams) stream.tell(events);
  }

  /** Sends bytes to all, whatever they are. */
  write(bytes: Uint8Array): void {
    for (const stream of this.#streams) stream.write(bytes);
  }

  /** Ends all streams in the middle. */
  cut(): void {
    for (const stream of this.#streams) stream.close();
  }
}
