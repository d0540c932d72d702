import { BodyBuffer, type ResponseReader } from "../host/http.ts";
import type { Log } from "../host/log.ts";
import { topologyLabel } from "../topology/inventory.ts";
import { EngineError, readFailure } from "./errors.ts";
import { EngineConnection } from "./http.ts";
import { hasPrefix, type Prefixes } from "./observe.ts";

const lineFeed = 10;
/** An event contains all labels of a container, whose length is not limited. */
const maximumLineBytes = 256 * 1024;

/** Passes the lines of a stream to `onLine` until it ends; null for one that is too long. */
export async function readLines(
  answers: Pick<ResponseReader, "readRest">,
  onLine: (line: string | null) => void,
  maximumBytes = maximumLineBytes,
): Promise<void> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(16 * 1024);
  const line = new BodyBuffer();
  let isTooLong = false;
  for (let length: number | null; (length = await answers.readRest(buffer)) !== null;) {
    for (let start = 0; start < length;) {
      const feed = buffer.indexOf(lineFeed, start);
      const end: number = feed < 0 ? length : Math.min(feed, length);
      isTooLong ||= line.length + end - start > maximumBytes;
      if (isTooLong) line.clear();
      else line.append(buffer.subarray(start, end));
      start = end + 1;
      if (end === length) break;
      if (isTooLong) onLine(null);
      else if (line.length > 0) onLine(decoder.decode(line.bytes()));
      line.clear();
      isTooLong = false;
    }
  }
}

/** Events after which the lists may differ. Podman's name for `destroy` is `remove`. */
const actions = [
  ...["create", "start", "die", "pause", "unpause", "rename", "destroy", "remove"],
  ...["health_status", "connect", "disconnect"],
  // Podman only: a container reaches its final state with these, not with `die`.
  ...["died", "cleanup"],
];
const types = ["container", "network"];

/** The engine's filter: leaves out exec calls, passing health checks and similar events. */
export const eventFilters: string = JSON.stringify({ type: types, event: actions });

type Fields = Readonly<Record<string, unknown>>;

/** So many ids of containers of others are remembered, then all are forgotten. */
const maximumForeign = 4_096;

/** Whether an event may have changed managed objects. Remembers containers of others in `foreign`. */
export function isRelevant(line: string, ours: readonly string[], foreign: Set<unknown>): boolean {
  let event: Fields;
  try {
    event = fields(JSON.parse(line));
  } catch {
    return true;
  }
  const { Type, Action, Actor } = event;
  if (typeof Type !== "string" || typeof Action !== "string") return true;
  // `health_status: healthy` has its result after the colon. Not every engine applies the filter.
  const verb = Action.split(":")[0]!;
  if (!types.includes(Type) || !actions.includes(verb)) return false;
  const { ID, Attributes } = fields(Actor);
  const { name, oldName, container = ID, ...labels } = fields(Attributes);
  // An attachment has no name of its container: Docker has its id as an attribute, Podman as the id.
  if (Type === "network") return !foreign.has(container);
  if (typeof name !== "string" || topologyLabel in labels) return true;
  const isOurs = [name, String(oldName)].some((it) => hasPrefix(it.replace(/^\//, ""), ours));
  if (isOurs) foreign.delete(ID);
  else if (foreign.size < maximumForeign) foreign.add(ID);
  else foreign.clear();
  // Podman does not send the old name.
  return isOurs || (verb === "rename" && oldName === undefined);
}

function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? value as Fields : {};
}

/** The engine to listen to, and the functions to call. */
interface EventOptions extends Prefixes {
  /** The path of the engine's socket. */
  readonly socket: string;
  readonly log?: Log | undefined;
  /** Called when the engine answers; some engines do so only with the first event. */
  readonly onOpen: () => void;
  /** Called when managed objects may have changed. */
  readonly onChange: () => void;
}

/** Listens to events until the connection ends or `signal` is aborted; throws `EngineError`. */
export async function listenToEvents(signal: AbortSignal, options: EventOptions): Promise<never> {
  const { socket, containerPrefixes, log, onOpen, onChange } = options;
  const foreign = new Set();
  try {
    const connection = await EngineConnection.open(socket, signal, { log });
    try {
      const path = `/events?filters=${encodeURIComponent(eventFilters)}`;
      await connection.openStream({ method: "GET", path });
      onOpen();
      await readLines(connection.answers, (line) => {
        if (line === null || isRelevant(line, containerPrefixes, foreign)) onChange();
      });
      throw new Error("the engine ended the event stream");
    } finally {
      connection.close();
    }
  } catch (cause) {
    throw new EngineError(readFailure(cause), `Cannot listen to Docker at ${socket}`, { cause });
  }
}
