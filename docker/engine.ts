import { imageLabel, type Inventory } from "../topology/inventory.ts";
import type { ContainerRequest, NetworkRequest } from "../topology/plan.ts";
import {
  checkStatus,
  EngineConnection,
  EngineError,
  type EngineRequest,
  type EngineResponse,
  explain,
  noAnswer,
  parseAnswer,
  TimeoutSet,
} from "./http.ts";
import { readContainers, readId, readNetworks } from "./lists.ts";
import { containersCall, networksCall } from "./observe.ts";

/** Bounds of the engine's use. */
export interface EngineOptions {
  /** How many calls may be under way at once. */
  readonly parallelCalls?: number;
  /** Bound on a call that changes nothing, in milliseconds. */
  readonly lookTimeoutMs?: number;
  /** Bound on a call that changes something: a busy engine takes long to remove a container. */
  readonly changeTimeoutMs?: number;
}

/** A connection that is kept, and how to end it when an answer stays out. */
interface Line {
  readonly connection: EngineConnection;
  readonly limit: AbortController;
}

/**
 * The engine as an apply and a teardown need it: it also changes things. Calls go out side by side,
 * as many as are allowed; what fails throws `Error` with a message for an operator, and `EngineError`
 * when the engine has refused.
 */
export class Engine {
  readonly #socket: string;
  readonly #lookTimeoutMs: number;
  readonly #changeTimeoutMs: number;
  readonly #timers = new TimeoutSet();
  readonly #signal: AbortSignal;
  readonly #lines = new Set<Line>();
  readonly #idle: Line[] = [];
  /** Calls that wait for their turn. */
  readonly #waiting: (() => void)[] = [];
  #free: number;
  #isClosed = false;

  /** Once `signal` is aborted no further call goes out; those under way are left to end. */
  constructor(socket: string, signal: AbortSignal, options: EngineOptions = {}) {
    const { parallelCalls = 8, lookTimeoutMs = 5_000, changeTimeoutMs = 60_000 } = options;
    this.#socket = socket;
    this.#signal = signal;
    this.#free = parallelCalls;
    this.#lookTimeoutMs = lookTimeoutMs;
    this.#changeTimeoutMs = changeTimeoutMs;
  }

  /** Everything that exists, ours or not. */
  async list(): Promise<Inventory> {
    const [networks, containers] = await Promise.all([
      this.#ask(networksCall),
      this.#ask(containersCall),
    ]);
    return { networks: readNetworks(networks), containers: readContainers(containers) };
  }

  /** The id of an image, or null when it is not there. */
  async imageId(name: string): Promise<string | null> {
    try {
      return readId(await this.#ask({ method: "GET", path: `/images/${name}/json` }), "image");
    } catch (error) {
      if (error instanceof EngineError && error.status === 404) return null;
      throw error;
    }
  }

  async createNetwork(body: NetworkRequest): Promise<void> {
    await this.#tell({ method: "POST", path: "/networks/create", body });
  }

  /** Removes a network; one that has gone already is fine. */
  async removeNetwork(id: string): Promise<void> {
    await this.#remove(`/networks/${id}`);
  }

  /**
   * Creates a container from an image, attached to all of its networks, and not started yet; answers
   * its id.
   */
  async createContainer(name: string, request: ContainerRequest, imageId: string): Promise<string> {
    const { NetworkingConfig, Labels, ...rest } = request;
    const [first, ...more] = Object.entries(NetworkingConfig?.EndpointsConfig ?? {});
    const body = {
      ...rest,
      Labels: { ...Labels, [imageLabel]: imageId },
      // Engines before API 1.44 take one network here, and the others by calls of their own.
      ...(first && { NetworkingConfig: { EndpointsConfig: Object.fromEntries([first]) } }),
    };
    const path = `/containers/create?name=${encodeURIComponent(name)}`;
    const id = readId(await this.#ask({ method: "POST", path, body }), "container");
    for (const [network, endpoint] of more) {
      const body = { Container: id, EndpointConfig: endpoint };
      const path = `/networks/${encodeURIComponent(network)}/connect`;
      await this.#tell({ method: "POST", path, body });
    }
    return id;
  }

  /** Starts, restarts or unpauses a container; one that runs already is fine. */
  async change(id: string, action: "start" | "restart" | "unpause"): Promise<void> {
    // A decoy's process has nothing to save: it is killed at once.
    const query = action === "restart" ? "?t=0" : "";
    await this.#tell({ method: "POST", path: `/containers/${id}/${action}${query}` });
  }

  /** Removes a container, running or not, with its volumes; one that has gone already is fine. */
  async removeContainer(id: string): Promise<void> {
    try {
      await this.#remove(`/containers/${id}?force=1&v=1`);
    } catch (error) {
      // Somebody else is removing it, and it must have gone before its name can be used again.
      if (!(error instanceof EngineError && /already in progress/.test(error.message))) throw error;
      await this.#tell({ method: "POST", path: `/containers/${id}/wait?condition=removed` })
        .catch((error) => {
          if (!(error instanceof EngineError && error.status === 404)) throw error;
        });
    }
  }

  /** Closes all connections; calls that are under way, or wait for their turn, fail. */
  close(): void {
    this.#isClosed = true;
    for (const line of this.#lines) {
      line.limit.abort(hungUp());
      this.#drop(line);
    }
  }

  async #remove(path: string): Promise<void> {
    try {
      await this.#tell({ method: "DELETE", path });
    } catch (error) {
      if (!(error instanceof EngineError && error.status === 404)) throw error;
    }
  }

  /** A call whose answer is of interest. */
  async #ask(request: EngineRequest): Promise<unknown> {
    return parseAnswer(await this.#call(request), nameOf(request));
  }

  /** A call of which it is enough that it went well. */
  async #tell(request: EngineRequest): Promise<void> {
    checkStatus(await this.#call(request), nameOf(request));
  }

  async #call(request: EngineRequest): Promise<EngineResponse> {
    while (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#free--;
    try {
      // Whoever had to wait for a turn may have been called off meanwhile.
      this.#signal.throwIfAborted();
      return await this.#exchange(request);
    } finally {
      this.#free++;
      this.#waiting.shift()?.();
    }
  }

  async #exchange(request: EngineRequest): Promise<EngineResponse> {
    const timeoutMs = request.method === "GET" ? this.#lookTimeoutMs : this.#changeTimeoutMs;
    let line: Line | undefined;
    let stopTimer = () => {};
    try {
      line = this.#idle.pop() ?? await this.#connect();
      const { connection, limit } = line;
      if (this.#isClosed) throw hungUp();
      stopTimer = this.#timers.start(timeoutMs, () => {
        limit.abort(noAnswer(timeoutMs));
      });
      await connection.send([request]);
      const answer = await connection.receive();
      if (answer.headers.get("connection")?.toLowerCase() === "close") this.#drop(line);
      else this.#idle.push(line);
      return answer;
    } catch (error) {
      const cause = line?.limit.signal.aborted ? line.limit.signal.reason : error;
      if (line) this.#drop(line);
      throw new Error(`Docker at ${this.#socket}: ${explain(cause)}`, { cause });
    } finally {
      stopTimer();
    }
  }

  async #connect(): Promise<Line> {
    const limit = new AbortController();
    const connection = await EngineConnection.open(this.#socket, limit.signal);
    const line = { limit, connection };
    this.#lines.add(line);
    return line;
  }

  #drop(line: Line): void {
    this.#lines.delete(line);
    line.connection.close();
  }
}

function hungUp(): Error {
  return new Error("the agent has hung up");
}

function nameOf({ method, path }: EngineRequest): string {
  return `${method} ${path.split("?")[0]}`;
}
