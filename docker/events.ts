import { topologyLabel } from "../topology/inventory.ts";
import { BodyBuffer, type BodyHandler, checkStatus, EngineConnection, explain } from "./http.ts";
import { hasPrefix, type Prefixes } from "./observe.ts";

const lineFeed = 10;
/** A container's event holds all of its labels, which have no bound of their own. */
const maximumLineBytes = 256 * 1024;

/** Cuts a stream into lines, wherever its parts begin and end. */
export class LineSplitter implements BodyHandler {
  readonly #onLine: (line: string | null) => void;
  readonly #maximumBytes: number;
  readonly #decoder = new TextDecoder();
  /** Has what has come of a line that goes on; one piece, as pieces of a byte each would eat memory. */
  #begun = new Uint8Array(0);
  #length = 0;

  /** `onLine` takes each line without its end, and null for one that is too long to be kept. */
  constructor(onLine: (line: string | null) => void, maximumBytes = maximumLineBytes) {
    this.#onLine = onLine;
    this.#maximumBytes = maximumBytes;
  }

  /** There is always room: what is too long is dropped. */
  checkRoom(): void {}

  append(part: Uint8Array): void {
    for (let start = 0; start < part.length;) {
      const end = part.indexOf(lineFeed, start);
      if (end < 0) return this.#keep(part.subarray(start));
      this.#finish(part.subarray(start, end));
      start = end + 1;
    }
  }

  #keep(bytes: Uint8Array): void {
    const at = this.#length;
    this.#length += bytes.length;
    if (this.#length > this.#maximumBytes) {
      this.#begun = new Uint8Array(0);
      return;
    }
    if (this.#length > this.#begun.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#begun.length));
      larger.set(this.#begun.subarray(0, at));
      this.#begun = larger;
    }
    this.#begun.set(bytes, at);
  }

  #finish(rest: Uint8Array): void {
    let line = rest;
    if (this.#length > 0) {
      this.#keep(rest);
      line = this.#begun.subarray(0, this.#length);
    }
    const length = Math.max(this.#length, rest.length);
    this.#length = 0;
    if (length > this.#maximumBytes) this.#onLine(null);
    else if (length > 0) this.#onLine(this.#decoder.decode(line));
  }
}

/** The events after which the lists may say something else. Podman has `remove` where others destroy. */
const actions = [
  ...["create", "start", "die", "pause", "unpause", "rename", "destroy", "remove"],
  ...["health_status", "connect", "disconnect"],
  // Podman's alone: a container that has died gets its last state with these.
  ...["died", "cleanup"],
] as const;

const types: ReadonlySet<unknown> = new Set(["container", "network"]);
const known: ReadonlySet<string> = new Set(actions);
/** How many containers of others are kept in mind. */
const maximumStrangers = 4_096;
/** Ids have 64 characters. A longer one would take memory, and is not kept in mind. */
const maximumIdLength = 128;

/** What the engine is asked to tell; exec calls, health checks that go well and the like are not. */
export const eventFilters: string = JSON.stringify({ type: [...types], event: actions });

type Fields = Readonly<Record<string, unknown>>;

/**
 * Tells events of ours from those of others, which the engine cannot: its filters take a label and a
 * name, not one or the other, and events of networks have no labels at all.
 */
export class OwnEvents {
  readonly #prefixes: Prefixes;
  /** Ids of containers that are known not to be ours, the oldest first. */
  readonly #unmanaged = new Set<string>();

  constructor(prefixes: Prefixes) {
    this.#prefixes = prefixes;
  }

  /** Whether what is ours may have changed by the event in a line; what is not understood may. */
  matter(line: string): boolean {
    let event: Fields;
    try {
      event = fields(JSON.parse(line));
    } catch {
      return true;
    }
    const actor = fields(event.Actor);
    const attributes = fields(actor.Attributes);
    const [id, action] = [actor.ID, event.Action];
    if (typeof id !== "string" || typeof action !== "string") return true;
    // Health has its outcome behind a colon. Not every engine filters as it is asked to.
    const verb = action.split(":")[0]!;
    if (!types.has(event.Type) || !known.has(verb)) return false;
    return event.Type === "network"
      ? this.#mattersOfNetwork(verb, id, attributes)
      : this.#mattersOfContainer(verb, id, attributes);
  }

  #mattersOfContainer(verb: string, id: string, { name, oldName, ...labels }: Fields): boolean {
    if (typeof name !== "string") return true;
    if (topologyLabel in labels || this.#isOurs(name) || this.#isOurs(oldName)) {
      this.#unmanaged.delete(id);
      return true;
    }
    // Podman does not tell how the container was called before.
    const mayHaveBeenOurs = verb === "rename" && oldName === undefined && !this.#unmanaged.has(id);
    if (verb === "destroy" || verb === "remove") this.#unmanaged.delete(id);
    else this.#remember(id);
    return mayHaveBeenOurs;
  }

  /** Docker tells which container was tied to a network, Podman tells only that. */
  #mattersOfNetwork(verb: string, id: string, { container }: Fields): boolean {
    const isTie = verb === "connect" || verb === "disconnect";
    return !isTie || !this.#unmanaged.has(typeof container === "string" ? container : id);
  }

  #isOurs(name: unknown): boolean {
    return typeof name === "string" &&
      hasPrefix(name.replace(/^\//, ""), this.#prefixes.containerPrefixes);
  }

  #remember(id: string): void {
    if (id.length > maximumIdLength || this.#unmanaged.has(id)) return;
    if (this.#unmanaged.size === maximumStrangers) {
      this.#unmanaged.delete(this.#unmanaged.values().next().value!);
    }
    this.#unmanaged.add(id);
  }
}

function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? value as Fields : {};
}

/** The engine's events; a face of its own, as a check has no use for them. */

/** A refusal is read up to here, in bytes, and so long, in milliseconds. */
const maximumRefusalBytes = 64 * 1024;
const refusalTimeoutMs = 2_000;
const call = {
  method: "GET",
  path: `/events?filters=${encodeURIComponent(eventFilters)}`,
} as const;

/** Which engine to listen to, and who is told of what. */
interface EventOptions extends Prefixes {
  /** The path of the engine's socket. */
  readonly socket: string;
  /** From now on each change is told. Some engines may say so with their first event only. */
  readonly onOpen: () => void;
  /** What is ours may have changed. */
  readonly onChange: () => void;
}

/**
 * Listens to the engine, on a connection of its own, until that ends. Always throws `Error`, whose
 * message is fit for an operator, also when `signal` was aborted.
 */
export async function listenToEvents(signal: AbortSignal, options: EventOptions): Promise<never> {
  const { socket, onOpen, onChange } = options;
  const own = new OwnEvents(options);
  try {
    const connection = await EngineConnection.open(socket, signal);
    try {
      await connection.send([call]);
      const head = await connection.head();
      if (head.status !== 200) {
        const refusal = new BodyBuffer(maximumRefusalBytes);
        const timer = setTimeout(() => connection.close(), refusalTimeoutMs);
        // The engine's words are good to have; without them the status must do.
        await connection.readBodyInto(head, refusal).catch(() => {}).finally(() =>
          clearTimeout(timer)
        );
        checkStatus({ ...head, body: refusal.bytes() }, "GET /events");
        throw new Error(`GET /events was answered with ${head.status}`);
      }
      onOpen();
      await connection.readBodyInto(
        head,
        new LineSplitter((line) => {
          if (line === null || own.matter(line)) onChange();
        }),
      );
      throw new Error("the engine ended its events");
    } finally {
      connection.close();
    }
  } catch (error) {
    const cause = signal.aborted ? signal.reason : error;
    throw new Error(`Cannot listen to Docker at ${socket}: ${explain(cause)}`, { cause });
  }
}
