import { request } from "node:http";
import { Engine } from "../../docker/engine.ts";
import { type Inventory, topologyLabel } from "../../topology/inventory.ts";

interface CallOptions {
  readonly body?: Uint8Array;
  /** Whether what the call is about may be missing. */
  readonly mayBeMissing?: boolean;
}

/** Does to an engine what an operator or an accident may do. Throws `Error` when it refuses. */
export class EngineClient {
  constructor(readonly socket: string) {}

  /** Ends a container, which stays there. */
  async kill(container: string): Promise<void> {
    await this.#call("POST", `/containers/${container}/kill`);
  }

  /** Removes a container, running or not; one that has gone already is fine. */
  async removeContainer(container: string): Promise<void> {
    await this.#call("DELETE", `/containers/${container}?force=1&v=1`, { mayBeMissing: true });
  }

  /** Removes a network; one that has gone already is fine. */
  async removeNetwork(network: string): Promise<void> {
    await this.#call("DELETE", `/networks/${network}`, { mayBeMissing: true });
  }

  /** Makes an image of a file system in a tar archive; `changes` are lines as in a Dockerfile. */
  async importImage(name: string, archive: Uint8Array, changes: readonly string[]): Promise<void> {
    const [repo = "", tag = ""] = name.split(":");
    const query = new URLSearchParams({ fromSrc: "-", repo, tag });
    for (const change of changes) query.append("changes", change);
    const answer = await this.#call("POST", `/images/create?${query}`, { body: archive });
    // What fails on the way is told after a good status.
    if (!/"sha256:[0-9a-f]{64}"/.test(answer)) throw new Error(`Cannot make ${name}: ${answer}`);
  }

  /** Removes an image; one that is not there is fine. */
  async removeImage(name: string): Promise<void> {
    await this.#call("DELETE", `/images/${name}?force=1`, { mayBeMissing: true });
  }

  /** What kind of machine the engine runs on: `amd64`. */
  async architecture(): Promise<string> {
    return String(JSON.parse(await this.#call("GET", "/version")).Arch);
  }

  /** All networks and containers; those of one topology when its id is given. */
  async list(topologyId?: string): Promise<Inventory> {
    const engine = new Engine(this.socket, new AbortController().signal);
    try {
      const { networks, containers } = await engine.list();
      const isWanted = ({ labels }: { labels: ReadonlyMap<string, string> }) =>
        topologyId === undefined || labels.get(topologyLabel) === topologyId;
      return { networks: networks.filter(isWanted), containers: containers.filter(isWanted) };
    } finally {
      engine.close();
    }
  }

  #call(
    method: string,
    path: string,
    { body = new Uint8Array(), mayBeMissing = false }: CallOptions = {},
  ): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const fail = (reason: string) => {
      reject(new Error(`Cannot ${method} ${path.split("?")[0]} at the engine: ${reason}`));
    };
    const headers = { "Content-Type": "application/x-tar", "Content-Length": body.length };
    const { socket: socketPath } = this;
    request({ socketPath, method, path, headers, agent: false }, (response) => {
      const { statusCode: status = 0 } = response;
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => text += part);
      response.on("error", reject).on("end", () => {
        if (status < 300 || (status === 404 && mayBeMissing)) resolve(text);
        else fail(`it answered ${status}: ${text.trim()}`);
      });
    }).on("error", (error) => fail(error.message)).end(body);
    return promise;
  }
}
