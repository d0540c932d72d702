import { setTimeout as delay } from "node:timers/promises";
import { answerCall } from "./calls.ts";
import { EventStreams } from "./events.ts";
import { concerns, type Fault, hasEffect, strike } from "./faults.ts";
import {
  closeQuietly,
  frame,
  isDisconnect,
  json,
  type Request,
  RequestReader,
  writeAll,
} from "./http.ts";
import { LogStreams } from "./logs.ts";
import { EngineState } from "./state.ts";

/** Listens at `path` and never accepts: clients connect, write, and wait. */
export function listenWithoutAccepting(path: string): { stop(): void } & Disposable {
  const listener = Deno.listen({ transport: "unix", path });
  const stop = () => listener.close(); // This removes the file, too.
  return { stop, [Symbol.dispose]: stop };
}

const requestsKept = 1000;

/** One received call; `path` includes the query. */
export interface ReceivedRequest {
  method: string;
  path: string;
}

/**
 * Plays the engine on a unix socket: it can be changed there as the real one can, counts the calls
 * and goes wrong as it is told.
 */
export class FakeEngine extends EngineState implements AsyncDisposable {
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
  /** The most connections that were open at once. */
  mostConnections = 0;
  /** Those who listen to its events, and get one for each change of networks and containers. */
  readonly events = new EventStreams();

  /** What its containers have written, and those who follow it. */
  readonly logs = new LogStreams();

  readonly #listener: Deno.UnixListener;
  readonly #connections = new Set<Deno.Conn>();
  readonly #serving = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #answers = new Map<string, Uint8Array<ArrayBuffer>>();
  #fault: Fault | undefined;
  /** How many calls the fault has let pass. */
  #passed = 0;

  private constructor(readonly socketPath: string) {
    super();
    this.#listener = Deno.listen({ transport: "unix", path: socketPath });
    this.#keep(this.#accept());
  }

  /** Starts an engine that runs nothing; throws when the path exists. */
  static start(socketPath: string): Promise<FakeEngine> {
    return Promise.resolve(new FakeEngine(socketPath));
  }

  /** What goes wrong from now on; undefined when nothing does. */
  get fault(): Fault | undefined {
    return this.#fault;
  }
  set fault(fault: Fault | undefined) {
    this.#fault = fault;
    this.#passed = 0;
  }

  protected override changed(): void {
    this.#answers.clear();
    this.events.changed(this);
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
      this.mostConnections = Math.max(this.mostConnections, this.#connections.size);
      this.#keep(this.#serve(connection));
    }
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    const reader = new RequestReader(connection);
    try {
      while (await this.#answerNext(connection, reader)) { /* one call after the other */ }
    } catch (error) {
      if (!isDisconnect(error)) throw error;
    } finally {
      this.#connections.delete(connection);
      closeQuietly(connection);
    }
  }

  /** Answers one call; false when the connection is to be closed. */
  async #answerNext(connection: Deno.Conn, reader: RequestReader): Promise<boolean> {
    const request = await reader.next(this.fault?.kind === "reset");
    if (!request) return false;
    this.#record(request);
    const fault = this.#nextFault(request);
    if (this.latencyMs > 0) {
      await delay(this.latencyMs, undefined, { signal: this.#stopping.signal });
    }
    if (fault) return await this.#fail(fault, request, { connection, reader });
    if (request.target.startsWith("/events")) {
      const leave = this.events.add(connection, new URLSearchParams(request.target.split("?")[1]));
      await reader.drain().finally(leave);
      return false;
    }
    const container = logTarget(request);
    if (container !== null && this.containers.some(({ Id }) => Id === container)) {
      const isUp = this.containers.some((it) => it.Id === container && it.State === "running");
      const query = new URLSearchParams(request.target.split("?")[1]);
      const leave = this.logs.add(connection, { container, query, isUp });
      await reader.drain().finally(leave);
      return false;
    }
    await writeAll(connection, this.#answer(request));
    return !request.close;
  }

  /** The fault of a call, if any. */
  #nextFault({ method, target }: Request): Fault | undefined {
    const fault = this.#fault;
    if (!fault || !concerns(fault, method, target)) return undefined;
    if (++this.#passed <= (fault.afterRequests ?? 0)) return undefined;
    if (fault.once) this.fault = undefined;
    return fault;
  }

  /** Lets a call go wrong; false when the connection is to be closed. */
  async #fail(
    fault: Fault,
    request: Request,
    { connection, reader }: { connection: Deno.Conn; reader: RequestReader },
  ): Promise<boolean> {
    const isDone = !isChange(request) || hasEffect(fault);
    const reply = isDone ? answerCall(this, request) : json(200, {});
    const after = await strike(fault, connection, reply, this.#stopping.signal);
    if (after === "silent") await reader.drain();
    return after === "next" && !request.close;
  }

  #record({ method, target: path }: Request): void {
    this.requestCount++;
    this.requests.push({ method, path });
    if (this.requests.length > requestsKept) this.requests.shift();
    if (isChange({ method })) this.changes.push({ method, path });
  }

  /** The bytes of a good answer; those of a list are kept for as long as nothing changes. */
  #answer(request: Request): Uint8Array<ArrayBuffer> {
    const { method, target, close } = request;
    const make = () => frame(answerCall(this, request), close);
    if (isChange(request) || target.startsWith("/images/")) return make();
    const key = `${method} ${target} ${close}`;
    const answer = this.#answers.get(key) ?? make();
    this.#answers.set(key, answer);
    return answer;
  }
}

/** The container whose log a call asks for, or null. */
function logTarget({ target }: Request): string | null {
  return /^\/containers\/([^/]+)\/logs\?/.exec(target)?.[1] ?? null;
}

function isChange({ method }: Pick<Request, "method">): boolean {
  return method !== "GET" && method !== "HEAD";
}
