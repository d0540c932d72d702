import { imageLabel, type Inventory } from "../topology/inventory.ts";
import type { ContainerRequest, NetworkRequest } from "../topology/plan.ts";
import { checkStatus, EngineError, parseAnswer, readFailure } from "./errors.ts";
import {
  callName,
  EngineConnection,
  type EngineRequest,
  type EngineResponse,
  TimeoutSet,
} from "./http.ts";
import { readContainers, readId, readNetworks } from "./lists.ts";
import { listContainers, listNetworks } from "./observe.ts";

/** Limits on the use of the engine. */
export interface EngineOptions {
  /** How many calls may run at once. */
  readonly parallelCalls?: number;
  /** Limit for a call that changes nothing, in milliseconds. */
  readonly readTimeoutMs?: number;
  /** Limit for a call that changes something: a busy engine takes long to remove a container. */
  readonly changeTimeoutMs?: number;
}

/**
 * The engine as an apply and a teardown need it: it also changes things. Calls run side by side, on
 * as many connections as are allowed. A call that fails throws `EngineError`, whose `status` is null
 * when the engine gave no answer.
 */
export class Engine {
  readonly #socket: string;
  readonly #readTimeoutMs: number;
  readonly #changeTimeoutMs: number;
  readonly #timeouts = new TimeoutSet();
  readonly #signal: AbortSignal;
  readonly #connections = new Set<EngineConnection>();
  readonly #idle: EngineConnection[] = [];
  /** Calls that wait for their turn. */
  readonly #waiting: (() => void)[] = [];
  #freeSlots: number;
  #isClosed = false;

  /** Once `signal` is aborted no further call goes out; those that run may end. */
  constructor(socket: string, signal: AbortSignal, options: EngineOptions = {}) {
    const { parallelCalls = 8, readTimeoutMs = 5_000, changeTimeoutMs = 60_000 } = options;
    this.#socket = socket;
    this.#signal = signal;
    this.#freeSlots = parallelCalls;
    this.#readTimeoutMs = readTimeoutMs;
    this.#changeTimeoutMs = changeTimeoutMs;
  }

  /** Lists everything that exists, ours or not. */
  async list(): Promise<Inventory> {
    const [networks, containers] = await Promise.all([
      this.#requestJson(listNetworks),
      this.#requestJson(listContainers()),
    ]);
    return { networks: readNetworks(networks), containers: readContainers(containers) };
  }

  /** The id of an image, or null when it is not there. */
  async imageId(name: string): Promise<string | null> {
    try {
      const image = await this.#requestJson({ method: "GET", path: `/images/${name}/json` });
      return readId(image, "image");
    } catch (error) {
      if (isGone(error)) return null;
      throw error;
    }
  }

  async createNetwork(body: NetworkRequest): Promise<void> {
    await this.#request({ method: "POST", path: "/networks/create", body });
  }

  /** Removes a network; one that is gone already is fine. */
  async removeNetwork(id: string): Promise<void> {
    await ignoreGone(this.#request({ method: "DELETE", path: `/networks/${id}` }));
  }

  /**
   * Creates a container from an image, attached to all of its networks, and not started yet. Returns
   * its id.
   */
  async createContainer(name: string, request: ContainerRequest, imageId: string): Promise<string> {
    const { NetworkingConfig, Labels, ...rest } = request;
    const [first, ...more] = Object.entries(NetworkingConfig?.EndpointsConfig ?? {});
    const body = {
      ...rest,
      Labels: { ...Labels, [imageLabel]: imageId },
      // Engines before API 1.44 accept one network here; the others need calls.
      ...(first && { NetworkingConfig: { EndpointsConfig: Object.fromEntries([first]) } }),
    };
    const path = `/containers/create?name=${encodeURIComponent(name)}`;
    const id = readId(await this.#requestJson({ method: "POST", path, body }), "container");
    for (const [network, endpoint] of more) {
      const path = `/networks/${encodeURIComponent(network)}/connect`;
      const body = { Container: id, EndpointConfig: endpoint };
      await this.#request({ method: "POST", path, body });
    }
    return id;
  }

  /** Starts, restarts or unpauses a container; one that runs already is fine. */
  async change(id: string, action: "start" | "restart" | "unpause"): Promise<void> {
    // A decoy's process has nothing to save: it is killed at once.
    const query = action === "restart" ? "?t=0" : "";
    await this.#request({ method: "POST", path: `/containers/${id}/${action}${query}` });
  }

  /** Removes a container, running or not, with its volumes; one that is gone already is fine. */
  async removeContainer(id: string): Promise<void> {
    try {
      const path = `/containers/${id}?force=1&v=1`;
      await ignoreGone(this.#request({ method: "DELETE", path }));
    } catch (error) {
      if (!isBeingRemoved(error)) throw error;
      // Its name can be used again only when it is gone.
      const path = `/containers/${id}/wait?condition=removed`;
      await ignoreGone(this.#request({ method: "POST", path }));
    }
  }

  /** Closes all connections; calls that run, or wait for their turn, fail. */
  close(): void {
    this.#isClosed = true;
    for (const connection of this.#connections) connection.abort(clientClosed());
    this.#connections.clear();
  }

  async #requestJson(request: EngineRequest): Promise<unknown> {
    return parseAnswer(await this.#request(request), callName(request));
  }

  /** Makes a call when its turn has come. Throws `EngineError` when it fails. */
  async #request(request: EngineRequest): Promise<EngineResponse> {
    while (this.#freeSlots === 0) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#freeSlots--;
    try {
      // It may have been aborted while the call waited.
      this.#signal.throwIfAborted();
      const answer = await this.#exchange(request);
      checkStatus(answer, callName(request));
      return answer;
    } finally {
      this.#freeSlots++;
      this.#waiting.shift()?.();
    }
  }

  async #exchange(request: EngineRequest): Promise<EngineResponse> {
    let connection: EngineConnection | undefined;
    try {
      connection = this.#idle.pop() ?? await this.#connect();
      if (this.#isClosed) throw clientClosed();
      const timeoutMs = request.method === "GET" ? this.#readTimeoutMs : this.#changeTimeoutMs;
      const stopTimeout = connection.abortAfter(timeoutMs);
      await connection.send([request]);
      const answer = await connection.receive();
      stopTimeout();
      if (answer.headers.get("connection")?.toLowerCase() === "close") this.#drop(connection);
      else this.#idle.push(connection);
      return answer;
    } catch (cause) {
      if (connection) this.#drop(connection);
      throw new EngineError(readFailure(cause), `Docker at ${this.#socket}`, { cause });
    }
  }

  async #connect(): Promise<EngineConnection> {
    // Not this engine's own signal: calls that run when it is aborted may end.
    const { signal } = new AbortController();
    const connection = await EngineConnection.open(this.#socket, signal, this.#timeouts);
    this.#connections.add(connection);
    return connection;
  }

  #drop(connection: EngineConnection): void {
    this.#connections.delete(connection);
    connection.close();
  }
}

function clientClosed(): EngineError {
  return new EngineError({ reason: "client-closed" });
}

function isGone(error: unknown): boolean {
  return error instanceof EngineError && error.status === 404;
}

/** Waits for a call that also succeeds when its object is gone. */
async function ignoreGone(call: Promise<EngineResponse>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** Whether another client is removing the container; the engine has no status for that. */
function isBeingRemoved(error: unknown): boolean {
  if (!(error instanceof EngineError) || error.failure.reason !== "status") return false;
  return error.failure.words.includes("already in progress");
}
