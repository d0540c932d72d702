import { setTimeout as delay } from "node:timers/promises";
import {
  connect,
  createContainer,
  createNetwork,
  disconnect,
  isTrue,
  kill,
  listContainers,
  listNetworks,
  pause,
  removeContainer,
  removeNetwork,
  rename,
  restart,
  start,
  stop,
  unpause,
} from "./containers.ts";
import { type Fault, FaultPlan, hasEffect, strike } from "./faults.ts";
import {
  ApplyError,
  badRequest,
  ByteInput,
  closeQuietly,
  empty,
  encode,
  failure,
  frame,
  isChange,
  isDisconnect,
  json,
  maximumApiMinor,
  plain,
  readContainer,
  readLine,
  readMembership,
  readNetwork,
  readRest,
  readSparingly,
  type Reply,
  type SentBody,
  writeAll,
} from "./http.ts";
import {
  type ContainerItem,
  EngineState,
  EventStreams,
  type Images,
  type NetworkItem,
} from "./state.ts";

/** The body of `GET /version`. */
const version = {
  Platform: { Name: "" },
  Components: [{
    Name: "Engine",
    Version: "20.10.24",
    Details: { ApiVersion: `1.${maximumApiMinor}`, MinAPIVersion: "1.12", Os: "linux" },
  }],
  Version: "20.10.24",
  ApiVersion: `1.${maximumApiMinor}`,
  MinAPIVersion: "1.12",
  GitCommit: "5d6db84",
  GoVersion: "go1.19.8",
  Os: "linux",
  Arch: "amd64",
  KernelVersion: "6.1.0",
  BuildTime: "2023-04-04T00:00:00.000000000+00:00",
};

/** Listens at `path` and never accepts: clients connect, write, and wait. */
export function listenWithoutAccepting(path: string): { stop(): void } & Disposable {
  const listener = Deno.listen({ transport: "unix", path });
  const stop = () => {
    listener.close(); // This removes the file, too.
  };
  return { stop, [Symbol.dispose]: stop };
}

/** One call, taken apart. */
interface Call {
  readonly state: EngineState;
  /** What stands in the path where the route has `{id}`. */
  readonly id: string;
  readonly query: URLSearchParams;
  readonly body: SentBody;
}

interface Route {
  readonly method: string;
  readonly path: RegExp;
  readonly answer: (call: Call) => Reply;
}

/** The calls the engine knows; everything else is 404. */
const routes: Route[] = [
  route("GET", "/_ping", () => plain("OK")),
  route("HEAD", "/_ping", () => plain("")),
  route("GET", "/version", () => json(200, version)),
  route("GET", "/networks", ({ state, query }) => listNetworks(state.networks, query)),
  route("POST", "/networks/create", ({ state, body }) => {
    return json(201, createNetwork(state, readNetwork(body)));
  }),
  route("POST", "/networks/{id}/connect", ({ state, id, body }) => {
    connect(state, id, readMembership(body));
    return empty(200);
  }),
  route("POST", "/networks/{id}/disconnect", ({ state, id, body }) => {
    disconnect(state, id, readMembership(body));
    return empty(200);
  }),
  route("DELETE", "/networks/{id}", ({ state, id }) => {
    removeNetwork(state, id);
    return empty(204);
  }),
  route("GET", "/containers/json", ({ state, query }) => {
    return listContainers(state.containers, query, state.images);
  }),
  route("POST", "/containers/create", ({ state, query, body }) => {
    return json(201, createContainer(state, query.get("name") ?? "", readContainer(body)));
  }),
  ...Object.entries({ start, stop, restart, pause, unpause, kill }).map(([name, act]) =>
    route("POST", `/containers/{id}/${name}`, ({ state, id }) => empty(act(state, id)))
  ),
  route("POST", "/containers/{id}/rename", ({ state, id, query }) => {
    rename(state, id, query.get("name") ?? "");
    return empty(204);
  }),
  route("DELETE", "/containers/{id}", ({ state, id, query }) => {
    removeContainer(state, id, isTrue(query.get("force")));
    return empty(204);
  }),
  route("GET", "/images/{id}/json", ({ state, id }) => inspectImage(state, id)),
];

/** Answers a call as the real engine does, refusals included. */
function answerCall(
  method: string,
  target: string,
  { state, body = { text: "", type: "" } }: { state: EngineState; body?: SentBody },
): Reply {
  const { minor, path } = splitVersion(target);
  const [bare = "", query = ""] = path.split("?");
  const route = routes.find((route) => route.method === method && route.path.test(bare));
  if (!route) {
    const reply = json(404, { message: "page not found" });
    return { ...reply, headers: { "Content-Type": "application/json" } };
  }
  if (minor > maximumApiMinor) {
    return failure(
      400,
      `client version 1.${minor} is too new. ` +
        `Maximum supported API version is 1.${maximumApiMinor}`,
    );
  }
  const id = decodeURIComponent(route.path.exec(bare)?.[1] ?? "");
  try {
    return route.answer({ state, id, query: new URLSearchParams(query), body });
  } catch (error) {
    if (error instanceof ApplyError) return failure(error.status, error.message);
    throw error;
  }
}

/** Splits `/v1.41/networks` into its minor version, 0 when there is none, and `/networks`. */
function splitVersion(target: string): { minor: number; path: string } {
  const match = target.match(/^\/v1\.(\d+)(\/.*)$/);
  return match ? { minor: Number(match[1]), path: match[2] ?? "" } : { minor: 0, path: target };
}

/** An image's name may have slashes in it, which clients may or may not escape. */
function route(method: string, path: string, answer: Route["answer"]): Route {
  const id = path.startsWith("/images/") ? "(.+)" : "([^/]+)";
  return { method, path: new RegExp(`^${path.replace("{id}", id)}$`), answer };
}

function inspectImage(state: EngineState, name: string): Reply {
  try {
    const { id, tags } = state.images.find(name);
    return json(200, { Id: id, RepoTags: tags, RepoDigests: [], Os: "linux" });
  } catch (error) {
    if (!(error instanceof ApplyError)) throw error;
    throw new ApplyError(error.status, `no such image: ${name}: ${error.message}`);
  }
}

const requestsKept = 1000;

/** One received call; `path` holds the version, if any, and the query. */
export interface ReceivedRequest {
  method: string;
  path: string;
}

/**
 * Plays the engine on a unix socket: it can be changed there as the real one can, counts the calls
 * and goes wrong as it is told.
 */
export class FakeEngine implements AsyncDisposable {
  /** The last 1000 calls, oldest first. */
  readonly requests: ReceivedRequest[] = [];
  /** All calls that are neither GET nor HEAD, oldest first. */
  readonly changes: ReceivedRequest[] = [];
  /** How long each call takes, in milliseconds; those of other connections meanwhile. */
  latencyMs = 0;
  /** How many calls have come since the start. */
  requestCount = 0;
  /** How many connections have been accepted since the start. */
  connectionCount = 0;
  /** Those who listen to its events, and get one for each change of networks and containers. */
  readonly events = new EventStreams();

  readonly #listener: Deno.UnixListener;
  readonly #connections = new Set<Deno.Conn>();
  readonly #serving = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #answers = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly #state = new EngineState(() => {
    this.#answers.clear();
    this.events.changed(this.#state);
  });
  readonly #faults = new FaultPlan();

  private constructor(readonly socketPath: string) {
    this.#listener = Deno.listen({ transport: "unix", path: socketPath });
    this.#keep(this.#accept());
  }

  /** Starts an engine that runs nothing; throws when the path exists. */
  static start(socketPath: string): Promise<FakeEngine> {
    return Promise.resolve(new FakeEngine(socketPath));
  }

  /** What `GET /networks` lists; assign a new array to change it, as answers are kept ready. */
  get networks(): readonly NetworkItem[] {
    return this.#state.networks;
  }
  set networks(networks: readonly NetworkItem[]) {
    this.#state.networks = networks;
  }

  /** What `GET /containers/json` lists; assign a new array to change it. */
  get containers(): readonly ContainerItem[] {
    return this.#state.containers;
  }
  set containers(containers: readonly ContainerItem[]) {
    this.#state.containers = containers;
  }

  /** The images that containers can be created from; assign names to have those and no others. */
  get images(): Images {
    return this.#state.images;
  }
  set images(names: Iterable<string>) {
    const wanted = [...names];
    this.images.clear();
    for (const name of wanted) this.images.add(name);
  }

  /** The body that a container was created from over the socket. Throws `Error` for another. */
  bodyOf(name: string): unknown {
    const { Id: id } = this.#state.container(name);
    if (!this.#state.bodies.has(id)) throw new Error(`${name} was not created over the socket`);
    return this.#state.bodies.get(id);
  }

  /** What goes wrong from now on; undefined when nothing does. */
  get fault(): Fault | undefined {
    return this.#faults.fault;
  }
  set fault(fault: Fault | undefined) {
    this.#faults.fault = fault;
  }

  /** Closes the socket and every connection at once and removes the socket's file. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    this.#listener.close(); // This removes the file, too.
    for (const connection of this.#connections) closeQuietly(connection);
    await Promise.all(this.#serving);
  }

  /** Same as {@linkcode stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #keep(task: Promise<void>): void {
    this.#serving.add(task);
    task.finally(() => this.#serving.delete(task));
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      this.connectionCount++;
      this.#connections.add(connection);
      this.#keep(this.#serve(connection));
    }
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    const input = new ByteInput(connection);
    try {
      while (await this.#answerNext(connection, input)) { /* one call after the other */ }
    } catch (error) {
      if (!isDisconnect(error)) throw error;
    } finally {
      this.#connections.delete(connection);
      closeQuietly(connection);
    }
  }

  /** Answers one call; false when the connection is to be closed. */
  async #answerNext(connection: Deno.Conn, input: ByteInput): Promise<boolean> {
    // A unix socket is reset, rather than closed, when it is closed over unread bytes. Reading a
    // request in single bytes leaves its header fields unread. (A connection that was idle when
    // the fault was set reads its next request whole, and so is closed.)
    const line = await readLine(input, this.fault?.kind === "reset" ? 1 : undefined);
    if (line === undefined) return false;
    const { method, target, protocol } = line;
    if (!protocol.startsWith("HTTP/1.")) return await refuse(connection);
    this.#note(method, target);
    const fault = this.#faults.next(method, splitVersion(target).path);
    if (fault?.kind === "reset") {
      const body = hasEffect(fault) ? await readSparingly(input) : undefined;
      await this.#wait();
      if (body) answerCall(method, target, { state: this.#state, body });
      await writeAll(connection, encode("HTTP/1.1 200 OK\r\nApi-Ver"));
      return false;
    }

    const rest = await readRest(input);
    if (rest === undefined) return false;
    const { headers, body } = rest;
    if (!headers.has("host") && protocol === "HTTP/1.1") return await refuse(connection);
    const close = protocol === "HTTP/1.0" || headers.get("connection")?.toLowerCase() === "close";
    await this.#wait();
    if (fault) {
      const putBack = this.#state.snapshot();
      const reply = answerCall(method, target, { state: this.#state, body });
      if (isChange(method) && !hasEffect(fault)) putBack();
      const after = await strike(fault, connection, reply, this.#stopping.signal);
      if (after === "silent") return await input.drain(); // Until the other side has had enough.
      if (!after) return false;
    } else if (method === "GET" && splitVersion(target).path.startsWith("/events")) {
      const leave = this.events.add(connection, new URLSearchParams(target.split("?")[1]));
      return await input.drain().finally(leave);
    } else if (isChange(method)) {
      const reply = answerCall(method, target, { state: this.#state, body });
      await writeAll(connection, frame(reply, close));
    } else {
      await writeAll(connection, this.#answer(method, target, close));
    }
    return !close;
  }

  /** Takes note of a call. */
  #note(method: string, target: string): void {
    this.requestCount++;
    this.requests.push({ method, path: target });
    if (this.requests.length > requestsKept) this.requests.shift();
    if (isChange(method)) this.changes.push({ method, path: target });
  }

  /** Lets the time pass that a call takes. Throws `AbortError` when the engine stops. */
  async #wait(): Promise<void> {
    if (this.latencyMs > 0) {
      await delay(this.latencyMs, undefined, { signal: this.#stopping.signal });
    }
  }

  /** The bytes of a good answer, made once for as long as nothing changes. */
  #answer(method: string, target: string, close: boolean): Uint8Array<ArrayBuffer> {
    const key = `${method} ${target} ${close}`;
    let bytes = this.#answers.get(key);
    if (!bytes) {
      bytes = frame(answerCall(method, target, { state: this.#state }), close);
      this.#answers.set(key, bytes);
    }
    return bytes;
  }
}

async function refuse(connection: Deno.Conn): Promise<false> {
  await writeAll(connection, encode(badRequest));
  return false;
}
