import { Applier } from "../../apply/applier.ts";
import { CountingProxy } from "../../tests/engines/counting_proxy.ts";
import { pausingImage } from "../../tests/engines/pausing_image.ts";
import { type Inventory, topologyLabel } from "../../topology/inventory.ts";
import type { ImageNames } from "../../topology/plan.ts";
import { loadDocument, type PushedDocument } from "./document.ts";
import { EngineClient } from "./engine_client.ts";
import { findFreeNetwork, interfaceNetworks } from "./free_network.ts";
import type { Host } from "./host.ts";

/** This machine's engine: what is made there bears an id of its own, and is removed in the end. */
export class RealHost implements Host {
  readonly flags: readonly string[];
  readonly document: PushedDocument;
  readonly #images: ImageNames;
  readonly #client: EngineClient;
  /** Stands between the agent and the engine, and counts. */
  readonly #proxy: CountingProxy;
  readonly #folder: string;

  private constructor(
    folder: string,
    client: EngineClient,
    { document, images }: { document: PushedDocument; images: ImageNames },
  ) {
    this.#folder = folder;
    this.#client = client;
    this.#images = images;
    this.document = document;
    const socket = `${folder}/docker.sock`;
    this.#proxy = CountingProxy.start(socket, client.socket);
    this.flags = [
      `--docker-host=unix://${socket}`,
      `--base-image=${images.base}`,
      `--service-image=${images.service}`,
      // What others have made is seen all the same when it bears the label of a topology.
      `--network-prefix=${document.prefix}`,
      `--container-prefix=${document.prefix}`,
    ];
  }

  /**
   * Chooses names and subnets that are free on the engine at `socket`, and changes nothing there yet.
   * Throws `Error` when no engine answers, or one that could not run the demo's images.
   */
  static async open(folder: string, socket: string): Promise<RealHost> {
    const client = new EngineClient(socket);
    const architecture = await client.architecture();
    if (architecture !== "amd64") {
      throw new Error(
        `the demo's own images run on amd64 only, and this engine is ${architecture}`,
      );
    }
    const id = crypto.randomUUID();
    const image = `decnet-demo-${id.slice(0, 8)}`;
    const images = { base: `${image}-base:1`, service: `${image}-service:1`, byService: new Map() };
    const { networks } = await client.list();
    const taken = [...networks.flatMap(({ subnets }) => subnets), ...interfaceNetworks()];
    const document = await loadDocument(images, { id, network: findFreeNetwork(taken) });
    return new RealHost(folder, client, { document, images });
  }

  /** The names of its images. */
  get images(): readonly [base: string, service: string] {
    return [this.#images.base, this.#images.service];
  }

  /** How many networks and containers of other topologies there are: the agent sees them, too. */
  async countOthers(): Promise<number> {
    const { networks, containers } = await this.#client.list();
    const { id } = this.document.topology;
    return [...networks, ...containers].filter(({ labels }) => {
      return labels.has(topologyLabel) && labels.get(topologyLabel) !== id;
    }).length;
  }

  /** Makes the images, from nothing: their programs sleep. */
  async makeImages(): Promise<void> {
    const changes = ['CMD ["/pause"]', `LABEL decnet.demo=${this.document.prefix}`];
    for (const name of this.images) {
      await this.#client.importImage(name, pausingImage(), changes);
    }
  }

  get changingCalls(): readonly string[] {
    return this.#proxy.changes;
  }

  list(): Promise<Inventory> {
    return this.#client.list(this.document.topology.id);
  }

  async kill(container: string): Promise<void> {
    await this.#client.kill(container);
  }

  async remove(container: string): Promise<void> {
    await this.#client.removeContainer(container);
  }

  /** Removes what was made on the engine, the agent having stopped. Throws when something stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    // From the last to the first, each whatever becomes of the others.
    await using steps = new AsyncDisposableStack();
    for (const name of this.images) steps.defer(() => this.#client.removeImage(name));
    steps.defer(() => this.#sweep());
    steps.defer(() => this.#tearDown());
    steps.use(this.#proxy);
  }

  async #tearDown(): Promise<void> {
    const storePath = `${this.#folder}/topology.db`;
    const sockets = [this.#client.socket];
    const applier = new Applier({ sockets, storePath, images: this.#images, supersede: false });
    const { signal } = new AbortController();
    await applier.teardown(this.document.topology.id, { signal, onWait: () => {} });
  }

  /** Removes by hand what a failed teardown has left. */
  async #sweep(): Promise<void> {
    const { containers, networks } = await this.list();
    for (const { id } of containers) await this.#client.removeContainer(id);
    for (const { id } of networks) await this.#client.removeNetwork(id);
  }
}
