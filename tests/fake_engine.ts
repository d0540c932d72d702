/** A stand-in for the Docker engine: HTTP/1.1 on a unix socket, down to faults in single bytes. */

import { createHash } from "node:crypto";
import { STATUS_CODES } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

const MAX_API_MINOR = 41;
const REQUESTS_KEPT = 1000;
/** The real engine's HTTP library buffers this much before it gives up on a Content-Length. */
const CHUNKED_ABOVE_BYTES = 2048;
const READ_BYTES = 16_384;
const SLOW_TICK_MS = 20;
const STATES = [
  "created",
  "running",
  "paused",
  "restarting",
  "removing",
  "exited",
  "dead",
] as const;
const ENGINE_HEADERS = {
  "Api-Version": `1.${MAX_API_MINOR}`,
  "Docker-Experimental": "false",
  "Ostype": "linux",
  "Server": "Docker/20.10.24 (linux)",
};

/** An item of `GET /networks`. */
export type NetworkItem = ReturnType<typeof network>;
/** An item of `GET /containers/json`. */
export type ContainerItem = ReturnType<typeof container>;
/** The states a container of the real engine can be in. */
export type ContainerState = typeof STATES[number];

/**
 * What goes wrong, for calls whose unversioned path starts with `path` (default: all), once
 * `afterRequests` of those (default 0) have been answered well. The kinds: no answer at all
 * (`hang`); the head and half of the body, then silence (`hang-body`); part of the head, then an
 * abrupt close (`reset`); bytes that are not HTTP (`garbage`); a close before the announced end
 * (`truncated`); an error of the engine (`status`); another body (`body`); a JSON list of so many
 * bytes (`huge`); the right answer, trickling (`slow`).
 */
export type Fault =
  & { path?: string; afterRequests?: number }
  & (
    | { kind: "hang" | "hang-body" | "reset" | "garbage" }
    | { kind: "truncated"; chunked?: boolean }
    | { kind: "status"; status: number; message: string }
    | { kind: "body"; body: string }
    | { kind: "huge"; bytes: number }
    | { kind: "slow"; bytesPerSecond: number }
  );

/** One received call; `path` holds the version, if any, and the query. */
export interface ReceivedRequest {
  method: string;
  path: string;
}

interface Reply {
  status: number;
  body: string;
  headers: Record<string, string>;
}

interface Route {
  method: string;
  path: RegExp;
  answer(engine: FakeEngine, query: URLSearchParams): Reply;
}

/** The calls the engine knows; everything else is 404. */
const ROUTES: Route[] = [
  { method: "GET", path: /^\/_ping$/, answer: () => plain("OK") },
  { method: "HEAD", path: /^\/_ping$/, answer: () => plain("") },
  { method: "GET", path: /^\/version$/, answer: () => json(200, VERSION) },
  {
    method: "GET",
    path: /^\/networks$/,
    answer: (engine, query) => listNetworks(engine.networks, query),
  },
  {
    method: "GET",
    path: /^\/containers\/json$/,
    answer: (engine, query) => listContainers(engine.containers, query),
  },
];

const VERSION = {
  Platform: { Name: "" },
  Components: [{
    Name: "Engine",
    Version: "20.10.24",
    Details: { ApiVersion: `1.${MAX_API_MINOR}`, MinAPIVersion: "1.12", Os: "linux" },
  }],
  Version: "20.10.24",
  ApiVersion: `1.${MAX_API_MINOR}`,
  MinAPIVersion: "1.12",
  GitCommit: "5d6db84",
  GoVersion: "go1.19.8",
  Os: "linux",
  Arch: "amd64",
  KernelVersion: "6.1.0",
  BuildTime: "2023-04-04T00:00:00.000000000+00:00",
};

/** Plays the engine on a unix socket, counts the calls and goes wrong as it is told. */
export class FakeEngine implements AsyncDisposable {
  /** The last 1000 calls, oldest first. */
  readonly requests: ReceivedRequest[] = [];
  /** How many calls have come since the start. */
  requestCount = 0;
  /** How many connections have been accepted since the start. */
  connectionCount = 0;

  readonly #listener: Deno.UnixListener;
  readonly #connections = new Set<Deno.Conn>();
  readonly #serving = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #answers = new Map<string, Uint8Array<ArrayBuffer>>();
  #networks: readonly NetworkItem[] = [];
  #containers: readonly ContainerItem[] = [];
  #fault: Fault | undefined;
  #passed = 0;

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
    return this.#networks;
  }
  set networks(networks: readonly NetworkItem[]) {
    this.#networks = networks;
    this.#answers.clear();
  }

  /** What `GET /containers/json` lists; assign a new array to change it. */
  get containers(): readonly ContainerItem[] {
    return this.#containers;
  }
  set containers(containers: readonly ContainerItem[]) {
    this.#containers = containers;
    this.#answers.clear();
  }

  /** What goes wrong from now on; undefined when nothing does. */
  get fault(): Fault | undefined {
    return this.#fault;
  }
  set fault(fault: Fault | undefined) {
    this.#fault = fault;
    this.#passed = 0;
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
    const line = await input.line(this.#fault?.kind === "reset" ? 1 : READ_BYTES);
    if (line === undefined) return false;
    const [method = "", sent = "", protocol = ""] = line.split(" ");
    // Some clients name the host here too, as they would to a proxy.
    const target = sent.replace(/^http:\/\/[^/]*/, "");
    if (!protocol.startsWith("HTTP/1.")) return await badRequest(connection);
    const fault = this.#count(method, target);
    if (fault?.kind === "reset") {
      await writeAll(connection, encode("HTTP/1.1 200 OK\r\nApi-Ver"));
      return false;
    }

    const headers = await input.headers();
    if (headers === undefined) return false;
    if (!headers.has("host") && protocol === "HTTP/1.1") return await badRequest(connection);
    await input.skip(Number(headers.get("content-length") ?? 0));
    const close = protocol === "HTTP/1.0" || headers.get("connection")?.toLowerCase() === "close";

    if (fault) {
      const reply = this.#route(method, target);
      const after = await strike(fault, connection, reply, this.#stopping.signal);
      if (after === "silent") return await input.drain(); // Until the other side has had enough.
      if (!after) return false;
    } else {
      await writeAll(connection, this.#answer(method, target, close));
    }
    return !close;
  }

  /** Takes note of a call and says what is to go wrong with it. */
  #count(method: string, target: string): Fault | undefined {
    this.requestCount++;
    this.requests.push({ method, path: target });
    if (this.requests.length > REQUESTS_KEPT) this.requests.shift();
    const fault = this.#fault;
    if (!fault || !splitVersion(target).path.startsWith(fault.path ?? "/")) return undefined;
    return ++this.#passed > (fault.afterRequests ?? 0) ? fault : undefined;
  }

  /** The bytes of a good answer, made once for as long as nothing changes. */
  #answer(method: string, target: string, close: boolean): Uint8Array<ArrayBuffer> {
    const key = `${method} ${target} ${close}`;
    let bytes = this.#answers.get(key);
    if (!bytes) {
      bytes = frame(this.#route(method, target), close);
      this.#answers.set(key, bytes);
    }
    return bytes;
  }

  #route(method: string, target: string): Reply {
    const { minor, path } = splitVersion(target);
    const [bare = "", query = ""] = path.split("?");
    const route = ROUTES.find((route) => route.method === method && route.path.test(bare));
    if (!route) {
      const reply = json(404, { message: "page not found" });
      return { ...reply, headers: { "Content-Type": "application/json" } };
    }
    if (minor > MAX_API_MINOR) {
      return failure(
        400,
        `client version 1.${minor} is too new. Maximum supported API version is 1.${MAX_API_MINOR}`,
      );
    }
    return route.answer(this, new URLSearchParams(query));
  }
}

/** Listens at `path` and never accepts: clients connect, write, and wait. */
export function listenWithoutAccepting(path: string): { stop(): void } & Disposable {
  const listener = Deno.listen({ transport: "unix", path });
  const stop = () => {
    listener.close(); // This removes the file, too.
  };
  return { stop, [Symbol.dispose]: stop };
}

/** A network as the real engine lists it. */
export function network(options: {
  name: string;
  subnet?: string;
  labels?: Record<string, string>;
  internal?: boolean;
  driver?: string;
}) {
  const { name, subnet, labels = {}, internal = false, driver = "bridge" } = options;
  return {
    Name: name,
    Id: idOf("network", name),
    Created: "2026-01-02T03:04:05.678901234Z",
    Scope: "local",
    Driver: driver,
    EnableIPv6: false,
    IPAM: {
      Driver: "default",
      Options: {} as Record<string, string> | null,
      Config: subnet === undefined ? [] : [{ Subnet: subnet }],
    },
    Internal: internal,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: {},
    Options: {} as Record<string, string>,
    Labels: labels,
  };
}

/**
 * A container as the real engine lists it; `addresses` maps network names to IPv4 addresses, and
 * a `networkMode` of `container:<name>` becomes one with that container's id, as the engine does.
 */
export function container(options: {
  name: string;
  state?: ContainerState;
  labels?: Record<string, string>;
  health?: "starting" | "healthy" | "unhealthy";
  addresses?: Record<string, string>;
  networkMode?: string;
  image?: string;
}) {
  const { name, state = "running", labels = {}, image = "busybox:latest" } = options;
  const mode = options.networkMode ?? Object.keys(options.addresses ?? {})[0] ?? "default";
  const addresses = options.addresses ?? (mode === "default" ? { bridge: "172.17.0.2" } : {});
  return {
    Id: idOf("container", name),
    Names: [`/${name}`],
    Image: image,
    ImageID: `sha256:${idOf("image", image)}`,
    Command: "sleep infinity",
    Created: 1_767_323_045,
    Ports: [] as unknown[],
    Labels: labels,
    State: state,
    Status: statusText(state, options.health),
    HostConfig: {
      NetworkMode: mode.replace(/^container:(?![0-9a-f]{64}$)(.+)$/, (_, other) => {
        return `container:${idOf("container", other)}`;
      }),
    },
    NetworkSettings: {
      Networks: Object.fromEntries(
        Object.entries(addresses).map(([name, ip]) => [name, endpoint(name, ip, state)]),
      ),
    },
    Mounts: [] as unknown[],
  };
}

function endpoint(network: string, ip: string, state: ContainerState) {
  const up = state === "running" || state === "paused";
  const mac = ip.split(".").map((octet) => Number(octet).toString(16).padStart(2, "0"));
  return {
    IPAMConfig: network === "bridge" ? null : { IPv4Address: ip },
    Links: null,
    Aliases: null,
    NetworkID: state === "created" ? "" : idOf("network", network),
    EndpointID: up ? idOf("endpoint", `${network} ${ip}`) : "",
    Gateway: up ? ip.replace(/\d+$/, "1") : "",
    IPAddress: up ? ip : "",
    IPPrefixLen: up ? 24 : 0,
    IPv6Gateway: "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    MacAddress: up ? `02:42:${mac.join(":")}` : "",
    DriverOpts: null,
  };
}

function statusText(state: ContainerState, health: string | undefined): string {
  const checked = health === "starting" ? " (health: starting)" : health ? ` (${health})` : "";
  return {
    created: "Created",
    running: `Up 2 minutes${checked}`,
    paused: "Up 2 minutes (Paused)",
    restarting: "Restarting (1) 5 seconds ago",
    removing: "Removal In Progress",
    exited: "Exited (0) 3 minutes ago",
    dead: "Dead",
  }[state];
}

function idOf(kind: string, name: string): string {
  return createHash("sha256").update(`${kind} ${name}`).digest("hex");
}

function listNetworks(items: readonly NetworkItem[], query: URLSearchParams): Reply {
  const filters = parseFilters(query, ["name", "label", "driver"]);
  if (!(filters instanceof Map)) return filters;
  return json(
    200,
    items.filter((item) =>
      matchesName(filters, [item.Name]) && matchesLabels(filters, item.Labels) &&
      (filters.get("driver")?.includes(item.Driver) ?? true)
    ),
  );
}

function listContainers(items: readonly ContainerItem[], query: URLSearchParams): Reply {
  const filters = parseFilters(query, ["name", "label", "status"]);
  if (!(filters instanceof Map)) return filters;
  const states = filters.get("status");
  const unknown = states?.find((state) => !(STATES as readonly string[]).includes(state));
  if (unknown !== undefined) return failure(400, `Invalid filter 'status=${unknown}'`);
  const all = !["", "0", "no", "false", "none"].includes((query.get("all") ?? "").toLowerCase());
  const wanted: readonly string[] = states ?? (all ? STATES : ["running", "paused", "restarting"]);
  return json(
    200,
    items.filter((item) =>
      wanted.includes(item.State) && matchesLabels(filters, item.Labels) &&
      matchesName(filters, item.Names.flatMap((name) => [name, name.slice(1)]))
    ),
  );
}

/** The filters by name, empty ones left out; or the refusal of what is no filter of this list. */
function parseFilters(query: URLSearchParams, known: string[]): Map<string, string[]> | Reply {
  let parsed: Record<string, string[] | Record<string, boolean>>;
  try {
    parsed = JSON.parse(query.get("filters") || "{}");
  } catch {
    return failure(400, "invalid character in filters");
  }
  const filters = new Map<string, string[]>();
  for (const [name, given] of Object.entries(parsed)) {
    if (!known.includes(name)) return failure(400, `Invalid filter '${name}'`);
    const values = Array.isArray(given) ? given : Object.keys(given);
    if (values.length > 0) filters.set(name, values);
  }
  return filters;
}

/** As the engine has it: each value is a regular expression, found anywhere; one has to match. */
function matchesName(filters: Map<string, string[]>, names: string[]): boolean {
  const patterns = filters.get("name");
  if (!patterns) return true;
  try {
    return patterns.some((pattern) => names.some((name) => new RegExp(pattern).test(name)));
  } catch {
    return false;
  }
}

/** Each value is `key` or `key=value`; all have to match. */
function matchesLabels(filters: Map<string, string[]>, labels: Record<string, string>): boolean {
  return (filters.get("label") ?? []).every((wanted) => {
    const [key = "", ...value] = wanted.split("=");
    return Object.hasOwn(labels, key) && (value.length === 0 || labels[key] === value.join("="));
  });
}

function json(status: number, value: unknown): Reply {
  const headers = { ...ENGINE_HEADERS, "Content-Type": "application/json" };
  return { status, headers, body: JSON.stringify(value) + "\n" };
}

function plain(body: string): Reply {
  const headers = { ...ENGINE_HEADERS, "Content-Type": "text/plain; charset=utf-8" };
  return { status: 200, headers, body };
}

function failure(status: number, message: string): Reply {
  return json(status, { message });
}

/**
 * Lets a fault other than `reset` happen: true when the connection can be used again, `silent`
 * when it stays open without a further word, false when it is to be closed.
 */
async function strike(
  fault: Fault,
  connection: Deno.Conn,
  reply: Reply,
  stopping: AbortSignal,
): Promise<boolean | "silent"> {
  switch (fault.kind) {
    case "hang":
      return "silent";
    case "hang-body": {
      const bytes = frame(reply, false);
      const head = headLength(bytes);
      await writeAll(connection, bytes.subarray(0, head + Math.ceil((bytes.length - head) / 2)));
      return "silent";
    }
    case "garbage":
      await writeAll(connection, Uint8Array.from({ length: 512 }, (_, i) => (i * 37 + 128) % 256));
      return "silent";
    case "truncated": {
      // All of the body arrives; only its end mark, or some announced bytes, do not.
      const chunked = fault.chunked ?? false;
      const body = chunked ? reply.body : `${reply.body}missing`;
      const bytes = frame({ ...reply, body }, false, chunked);
      await writeAll(connection, bytes.subarray(0, bytes.length - 7));
      return false;
    }
    case "status":
      await writeAll(connection, frame(failure(fault.status, fault.message), false));
      return true;
    case "body":
      await writeAll(connection, frame({ ...reply, status: 200, body: fault.body }, false));
      return true;
    case "huge":
      await writeAll(connection, encode(headOf(reply, { "Transfer-Encoding": "chunked" })));
      for (const part of hugeList(fault.bytes)) await writeAll(connection, chunk(part));
      await writeAll(connection, chunk(""));
      return true;
    case "slow":
      await writeSlowly(connection, frame(reply, false), fault.bytesPerSecond, stopping);
      return true;
    default:
      throw new TypeError(`No such fault: ${fault.kind}`);
  }
}

/** A JSON list of `bytes` bytes (at least one item's) that would do for either list call. */
function* hugeList(bytes: number): Generator<string> {
  const name = "decnet-huge";
  const item = JSON.stringify({ ...network({ name }), ...container({ name }) });
  const items = `,${item}`.repeat(64);
  let left = bytes - item.length - 2;
  yield `[${item}`;
  for (; left >= items.length; left -= items.length) yield items;
  yield `${" ".repeat(Math.max(0, left))}]`;
}

async function writeSlowly(
  connection: Deno.Conn,
  bytes: Uint8Array,
  bytesPerSecond: number,
  signal: AbortSignal,
): Promise<void> {
  const start = performance.now();
  for (let sent = 0; sent < bytes.length;) {
    await delay(Math.max(SLOW_TICK_MS, 1000 / bytesPerSecond), undefined, { signal });
    const due = Math.floor((performance.now() - start) / 1000 * bytesPerSecond);
    if (due <= sent) continue;
    await writeAll(connection, bytes.subarray(sent, due));
    sent = due;
  }
}

/** A whole answer in bytes; `chunked` by length, as the real engine does it, unless told. */
function frame(
  reply: Reply,
  close: boolean,
  chunked = reply.body.length > CHUNKED_ABOVE_BYTES,
): Uint8Array<ArrayBuffer> {
  const length = encode(reply.body).length;
  const head = headOf(reply, {
    "Date": new Date().toUTCString(),
    ...(chunked ? { "Transfer-Encoding": "chunked" } : { "Content-Length": `${length}` }),
    ...(close ? { "Connection": "close" } : {}),
  });
  if (!chunked) return encode(head + reply.body);
  const size = length.toString(16);
  return encode(`${head}${size}\r\n${reply.body}\r\n0\r\n\r\n`);
}

function headOf(reply: Reply, more: Record<string, string>): string {
  const fields = Object.entries({ ...reply.headers, ...more });
  const text = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return `HTTP/1.1 ${reply.status} ${STATUS_CODES[reply.status] ?? "Unknown"}\r\n${text}\r\n`;
}

function headLength(bytes: Uint8Array): number {
  return new TextDecoder("latin1").decode(bytes).indexOf("\r\n\r\n") + 4;
}

function chunk(text: string): Uint8Array<ArrayBuffer> {
  return encode(`${encode(text).length.toString(16)}\r\n${text}\r\n`);
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

async function badRequest(connection: Deno.Conn): Promise<false> {
  const fields = "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n";
  await writeAll(connection, encode(`HTTP/1.1 400 Bad Request\r\n${fields}\r\n400 Bad Request`));
  return false;
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) {
    sent += await connection.write(bytes.subarray(sent));
  }
}

/** Splits `/v1.41/networks` into its minor version, 0 when there is none, and `/networks`. */
function splitVersion(target: string): { minor: number; path: string } {
  const match = target.match(/^\/v1\.(\d+)(\/.*)$/);
  return match ? { minor: Number(match[1]), path: match[2] ?? "" } : { minor: 0, path: target };
}

/** True for what a connection throws when it is closed on either side. */
function isDisconnect(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.Interrupted ||
    error instanceof Error && error.name === "AbortError";
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error; // Closed already.
  }
}

/** The bytes of one connection, read as lines. */
class ByteInput {
  readonly #connection: Deno.Conn;
  #bytes: Uint8Array = new Uint8Array();

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** The next line without its end, undefined at the end of the input. */
  async line(readBytes = READ_BYTES): Promise<string | undefined> {
    for (;;) {
      const end = this.#bytes.indexOf(10);
      if (end >= 0) {
        const line = new TextDecoder().decode(this.#bytes.subarray(0, end));
        this.#bytes = this.#bytes.subarray(end + 1);
        return line.replace(/\r$/, "");
      }
      if (!await this.#read(readBytes)) return undefined;
    }
  }

  /** Header fields up to the empty line, undefined when the input ends before it. */
  async headers(): Promise<Headers | undefined> {
    const headers = new Headers();
    for (let line = await this.line(); line !== ""; line = await this.line()) {
      if (line === undefined) return undefined;
      const colon = line.indexOf(":");
      if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
    }
    return headers;
  }

  /** Passes over a request's body. */
  async skip(count: number): Promise<void> {
    while (this.#bytes.length < count) {
      if (!await this.#read(READ_BYTES)) return;
    }
    this.#bytes = this.#bytes.subarray(count);
  }

  /** Passes over everything up to the end of the input; then it is false. */
  async drain(): Promise<false> {
    do this.#bytes = new Uint8Array(); while (await this.#read(READ_BYTES));
    return false;
  }

  async #read(count: number): Promise<boolean> {
    const buffer = new Uint8Array(count);
    const length = await this.#connection.read(buffer);
    if (length === null) return false;
    const joined = new Uint8Array(this.#bytes.length + length);
    joined.set(this.#bytes);
    joined.set(buffer.subarray(0, length), this.#bytes.length);
    this.#bytes = joined;
    return true;
  }
}
