import { topologyLabel } from "../topology/inventory.ts";
import { EngineError, readFailure, statusError } from "./errors.ts";
import {
  BodyBuffer,
  type BodyHandler,
  callName,
  EngineConnection,
  type EngineRequest,
} from "./http.ts";
import { hasPrefix, type Prefixes } from "./observe.ts";

const lineFeed = 10;
/** A container's event holds all of its labels, whose length is not limited. */
const maximumLineBytes = 256 * 1024;

/** Splits a stream into lines, wherever its parts begin and end; drops a line that is too long. */
export class LineSplitter implements BodyHandler {
  readonly #onLine: (line: string | null) => void;
  readonly #maximumBytes: number;
  readonly #decoder = new TextDecoder();
  readonly #line = new BodyBuffer();
  #isTooLong = false;

  /** `onLine` takes each line without its end; null for one that is too long. */
  constructor(onLine: (line: string | null) => void, maximumBytes = maximumLineBytes) {
    this.#onLine = onLine;
    this.#maximumBytes = maximumBytes;
  }

  append(part: Uint8Array): void {
    for (let start = 0; start < part.length;) {
      const end = part.indexOf(lineFeed, start);
      this.#keep(part.subarray(start, end < 0 ? part.length : end));
      if (end < 0) return;
      this.#finishLine();
      start = end + 1;
    }
  }

  #keep(bytes: Uint8Array): void {
    this.#isTooLong ||= this.#line.length + bytes.length > this.#maximumBytes;
    if (this.#isTooLong) this.#line.clear();
    else this.#line.append(bytes);
  }

  #finishLine(): void {
    if (this.#isTooLong) this.#onLine(null);
    else if (this.#line.length > 0) this.#onLine(this.#decoder.decode(this.#line.bytes()));
    this.#line.clear();
    this.#isTooLong = false;
  }
}

/** The events after which the lists may differ. Podman has `remove` where others destroy. */
const actions = [
  ...["create", "start", "die", "pause", "unpause", "rename", "destroy", "remove"],
  ...["health_status", "connect", "disconnect"],
  // Podman alone has these: a container that has died gets its last state with them.
  ...["died", "cleanup"],
] as const;

const types: ReadonlySet<unknown> = new Set(["container", "network"]);
const knownActions: ReadonlySet<string> = new Set(actions);
/** How many ids of unmanaged containers are kept. */
const maximumUnmanaged = 4_096;
/** Ids have 64 characters. A longer one would take memory, and is not kept. */
const maximumIdLength = 128;

/** Keeps out exec calls, health checks that pass and the like. */
export const eventFilters: string = JSON.stringify({ type: [...types], event: actions });

type Fields = Readonly<Record<string, unknown>>;

/**
 * Finds the events that concern our objects. The engine cannot do this: its filters take a label and a
 * name, not one or the other, and events of networks have no labels.
 */
export class EventFilter {
  readonly #prefixes: Prefixes;
  /** Ids of containers that are known not to be ours, the oldest first. */
  readonly #unmanaged = new Set<string>();

  constructor(prefixes: Prefixes) {
    this.#prefixes = prefixes;
  }

  /** Whether the event in a line may have changed our objects; true for what is not understood. */
  isRelevant(line: string): boolean {
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
    // Health has its result behind a colon. Not every engine filters as it is asked to.
    const verb = action.split(":")[0]!;
    if (!types.has(event.Type) || !knownActions.has(verb)) return false;
    return event.Type === "network"
      ? this.#isNetworkRelevant(verb, id, attributes)
      : this.#isContainerRelevant(verb, id, attributes);
  }

  #isContainerRelevant(verb: string, id: string, { name, oldName, ...labels }: Fields): boolean {
    if (typeof name !== "string") return true;
    if (topologyLabel in labels || this.#isOurs(name) || this.#isOurs(oldName)) {
      this.#unmanaged.delete(id);
      return true;
    }
    // Podman does not send the container's former name.
    const mayHaveBeenOurs = verb === "rename" && oldName === undefined && !this.#unmanaged.has(id);
    if (verb === "destroy" || verb === "remove") this.#unmanaged.delete(id);
    else this.#remember(id);
    return mayHaveBeenOurs;
  }

  /** Docker's event of an attachment has the network's id, Podman's only the container's. */
  #isNetworkRelevant(verb: string, id: string, { container }: Fields): boolean {
    const isAttachment = verb === "connect" || verb === "disconnect";
    return !isAttachment || !this.#unmanaged.has(typeof container === "string" ? container : id);
  }

  #isOurs(name: unknown): boolean {
    return typeof name === "string" &&
      hasPrefix(name.replace(/^\//, ""), this.#prefixes.containerPrefixes);
  }

  #remember(id: string): void {
    if (id.length > maximumIdLength || this.#unmanaged.has(id)) return;
    if (this.#unmanaged.size === maximumUnmanaged) {
      this.#unmanaged.delete(this.#unmanaged.values().next().value!);
    }
    this.#unmanaged.add(id);
  }
}

function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? value as Fields : {};
}

/** How much of a refusal is read, in bytes, and for how long, in milliseconds. */
const maximumRefusalBytes = 64 * 1024;
const refusalTimeoutMs = 2_000;
const listen: EngineRequest = {
  method: "GET",
  path: `/events?filters=${encodeURIComponent(eventFilters)}`,
};

/** Which engine to listen to, and what to call. */
interface EventOptions extends Prefixes {
  /** The path of the engine's socket. */
  readonly socket: string;
  /** Called when the engine has begun to send events; of some engines, with the first event only. */
  readonly onOpen: () => void;
  /** Called when our objects may have changed. */
  readonly onChange: () => void;
}

/**
 * Listens to the engine's events, on a connection of its own, until that ends. Always throws
 * `EngineError`, also when `signal` was aborted.
 */
export async function listenToEvents(signal: AbortSignal, options: EventOptions): Promise<never> {
  const { socket, onOpen, onChange } = options;
  const filter = new EventFilter(options);
  const splitter = new LineSplitter((line) => {
    if (line === null || filter.isRelevant(line)) onChange();
  });
  try {
    const connection = await EngineConnection.open(socket, signal);
    try {
      await connection.send([listen]);
      const head = await connection.receiveHead();
      if (head.status !== 200) {
        const body = new BodyBuffer(maximumRefusalBytes);
        connection.abortAfter(refusalTimeoutMs);
        // The status alone will do when the rest of the refusal does not come.
        await connection.readBodyInto(head, body).catch(() => {});
        throw statusError({ ...head, body: body.bytes() }, callName(listen));
      }
      onOpen();
      await connection.readBodyInto(head, splitter);
      throw new Error("the engine ended the event stream");
    } finally {
      connection.close();
    }
  } catch (cause) {
    throw new EngineError(readFailure(cause), `Cannot listen to Docker at ${socket}`, { cause });
  }
}
