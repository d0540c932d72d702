import { setTimeout as delay } from "node:timers/promises";
import { ByteInput, closeQuietly, isDisconnect, writeAll } from "./connection.ts";
import { EventStreams } from "./event_streams.ts";
import { type Fault, FaultPlan, hasEffect, strike } from "./faults.ts";
import type { Images } from "./images.ts";
import type { ContainerItem, NetworkItem } from "./items.ts";
import { badRequest, encode, frame } from "./reply.ts";
import { isChange, readLine, readRest, readSparingly } from "./request.ts";
import { answerCall, splitVersion } from "./routes.ts";
import { EngineState } from "./state.ts";

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
