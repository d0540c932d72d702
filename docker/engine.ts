import type { HttpResponse } from "../host/http.ts";
import type { Log } from "../host/log.ts";
import { TimeoutSet } from "../host/timeouts.ts";
import {
  type ContainerInfo,
  imageLabel,
  type Inventory,
  isRunning,
  topologyLabel,
} from "../topology/inventory.ts";
import {
  engineRequest,
  hideValues,
  type NetworkRequest,
  type PlannedContainer,
} from "../topology/plan.ts";
import { checkStatus, EngineError, parseAnswer, readFailure } from "./errors.ts";
import { callName, EngineConnection, type EngineRequest } from "./http.ts";
import { readContainers, readId, readImageLabels, readNetworks, readVersion } from "./lists.ts";
import { listContainers, listNetworks } from "./observe.ts";

const listImages: EngineRequest = { method: "GET", path: "/images/json?all=1" };

/** Limits on the use of the engine, and who logs it. */
export interface EngineOptions {
  /** How many calls may run at once. */
  readonly parallelCalls?: number;
  /** Limit for a call that changes nothing, in milliseconds. */
  readonly readTimeoutMs?: number;
  /** Limit for any other call, in milliseconds; a busy engine is slow to remove a container. */
  readonly changeTimeoutMs?: number;
  readonly log?: Log | undefined;
}

/**
 * Client of the engine for apply and teardown. Runs calls in parallel, each on a connection without
 * another call. Every method throws `EngineError` when a call fails.
 */
export class Engine {
  readonly socket: string;
  readonly log: Log | undefined;
  readonly #readTimeoutMs: number;
  readonly #changeTimeoutMs: number;
  readonly #timeouts = new TimeoutSet();
  readonly #signal: AbortSignal;
  /** Aborts all connections. */
  readonly #closing = new AbortController();
  readonly #idle: EngineConnection[] = [];
  /** Calls that wait for a free slot. */
  readonly #waiting: (() => void)[] = [];
  #freeSlots: number;

  /** Sends no further call after `signal` is aborted; running calls may finish. */
  constructor(socket: string, signal: AbortSignal, options: EngineOptions = {}) {
    const { parallelCalls = 8, readTimeoutMs = 5_000, changeTimeoutMs = 60_000 } = options;
    this.socket = socket;
    this.#signal = signal;
    this.log = options.log;
    this.#freeSlots = parallelCalls;
    this.#readTimeoutMs = readTimeoutMs;
    this.#changeTimeoutMs = changeTimeoutMs;
  }

  /**
   * Lists all networks and containers of the engine. Where a container has our label, and none for its
   * image, that image may have handed it on: such containers have the labels of their images, too.
   */
  async list(): Promise<Inventory> {
    const [networks, containers] = await Promise.all([
      this.#requestJson(listNetworks),
      this.#requestJson(listContainers()),
    ]);
    const inventory = { networks: readNetworks(networks), containers: readContainers(containers) };
    const isDoubtful = ({ labels }: ContainerInfo) =>
      labels.has(topologyLabel) && !labels.has(imageLabel);
    if (!inventory.containers.some(isDoubtful)) return inventory;
    const labelsByImage = readImageLabels(await this.#requestJson(listImages));
    // An image that is gone may have handed on all of them.
    const withImageLabels = inventory.containers.map((it) =>
      isDoubtful(it) ? { ...it, imageLabels: labelsByImage.get(it.imageId) ?? it.labels } : it
    );
    return { ...inventory, containers: withImageLabels };
  }

  /** Asks the engine for its versions and that of the kernel; it may not know each. */
  async version(): Promise<ReturnType<typeof readVersion>> {
    return readVersion(await this.#requestJson({ method: "GET", path: "/version" }));
  }

  /** Lists the containers that share the network of another one. Only Podman has this filter. */
  async listSharing(hostId: string): Promise<ContainerInfo[]> {
    const call = listContainers({ network: [`container:${hostId}`] });
    return readContainers(await this.#requestJson(call));
  }

  /** Returns the id of an image; null when the engine does not have the image. */
  async imageId(name: string): Promise<string | null> {
    try {
      const image = await this.#requestJson({ method: "GET", path: `/images/${name}/json` });
      return readId(image, "image");
    } catch (error) {
      if (error instanceof EngineError && error.status === 404) return null;
      throw error;
    }
  }

  async createNetwork(body: NetworkRequest): Promise<void> {
    await this.#request({ method: "POST", path: "/networks/create", body });
  }

  /** Removes a network; succeeds if it does not exist. */
  async removeNetwork(id: string): Promise<void> {
    await ignoreRefusal(this.#request({ method: "DELETE", path: `/networks/${id}` }), 404);
  }

  /** Creates a container and attaches it to all its networks, without starting it. Returns its id. */
  async createContainer(planned: PlannedContainer, imageId: string): Promise<string> {
    const { NetworkingConfig, Labels, ...rest } = engineRequest(planned);
    const [first, ...more] = Object.entries(NetworkingConfig?.EndpointsConfig ?? {});
    const body = {
      ...rest,
      Labels: { ...Labels, [imageLabel]: imageId },
      // Engines before API 1.44 accept one network here; the others need calls.
      ...(first && { NetworkingConfig: { EndpointsConfig: Object.fromEntries([first]) } }),
    };
    const path = `/containers/create?name=${encodeURIComponent(planned.name)}`;
    const hide = (message: string) => hideValues(planned, message);
    const id = readId(await this.#requestJson({ method: "POST", path, body, hide }), "container");
    for (const [network, endpoint] of more) {
      const path = `/networks/${encodeURIComponent(network)}/connect`;
      const body = { Container: id, EndpointConfig: endpoint };
      await this.#request({ method: "POST", path, body });
    }
    return id;
  }

  /** Starts, restarts or unpauses what was made from a plan; starting a running one succeeds. */
  async change(
    planned: PlannedContainer,
    id: string,
    action: "start" | "restart" | "unpause",
  ): Promise<void> {
    // Kills the process without waiting: a decoy has nothing to save.
    const query = action === "restart" ? "?t=0" : "";
    const hide = (message: string) => hideValues(planned, message);
    await this.#request({ method: "POST", path: `/containers/${id}/${action}${query}`, hide });
  }

  /**
   * Kills a container if it runs, and removes it with its anonymous volumes; succeeds if it does not
   * exist. A decoy has nothing to save, and Podman's removal alone gives it 10 s to end by itself. A
   * stop without a wait kills and is answered when the engine has cleaned up, which is faster there.
   */
  async removeContainer(actual: Pick<ContainerInfo, "id" | "state">): Promise<void> {
    const { id } = actual;
    try {
      if (isRunning(actual)) {
        await ignoreRefusal(this.#request({ method: "POST", path: `/containers/${id}/stop?t=0` }));
      }
      const path = `/containers/${id}?force=1&v=1`;
      await ignoreRefusal(this.#request({ method: "DELETE", path }), 404);
    } catch (error) {
      if (!isBeingRemoved(error)) throw error;
      // Waits: only then can the name be used again.
      const path = `/containers/${id}/wait?condition=removed`;
      await ignoreRefusal(this.#request({ method: "POST", path }), 404);
    }
  }

  /** Closes all connections; running and waiting calls fail. */
  close(): void {
    this.#closing.abort(new EngineError({ reason: "client-closed" }));
  }

  async #requestJson(request: EngineRequest): Promise<unknown> {
    const { body } = await this.#request(request);
    return parseAnswer(new TextDecoder().decode(body), callName(request));
  }

  /** Makes a call as soon as a slot is free. Throws `EngineError` when it fails. */
  async #request(request: EngineRequest): Promise<HttpResponse> {
    while (this.#freeSlots === 0) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#freeSlots--;
    try {
      // It may have been aborted while the call waited.
      this.#signal.throwIfAborted();
      const answer = await this.#exchange(request);
      checkStatus(answer, callName(request), request.hide);
      return answer;
    } finally {
      this.#freeSlots++;
      this.#waiting.shift()?.();
    }
  }

  async #exchange(request: EngineRequest): Promise<HttpResponse> {
    let connection: EngineConnection | undefined;
    try {
      // Not with `#signal`: running calls may finish after it was aborted.
      const options = { timeouts: this.#timeouts, log: this.log };
      connection = this.#idle.pop() ??
        await EngineConnection.open(this.socket, this.#closing.signal, options);
      const timeoutMs = request.method === "GET" ? this.#readTimeoutMs : this.#changeTimeoutMs;
      const stopTimeout = connection.abortAfter(timeoutMs);
      await connection.send([request]);
      const answer = await connection.answers.next();
      stopTimeout();
      if (answer.isLast) connection.close();
      else this.#idle.push(connection);
      return answer;
    } catch (cause) {
      connection?.close();
      throw new EngineError(readFailure(cause), `Docker at ${this.socket}`, { cause });
    }
  }
}

/** Waits for a call; accepts the engine's refusal, if a status is given only with that one. */
async function ignoreRefusal(call: Promise<HttpResponse>, accepted?: number): Promise<void> {
  try {
    await call;
  } catch (error) {
    const status = error instanceof EngineError ? error.status : null;
    if (status === null || status !== (accepted ?? status)) throw error;
  }
}

/** Whether another client is removing the container; only the engine's message shows this. */
function isBeingRemoved(error: unknown): boolean {
  if (!(error instanceof EngineError) || error.failure.reason !== "status") return false;
  return error.failure.words.includes("already in progress");
}
