import { TopologyStore } from "../../store/mod.ts";
import {
  container,
  type ContainerItem,
  type ContainerState,
  FakeEngine,
  network,
  type NetworkItem,
} from "../../tests/engine/mod.ts";
import {
  parseJson,
  planTopology,
  readTopology,
  type Topology,
  topologyLabel,
  versionHash,
} from "../../topology/mod.ts";

const document = new URL("../../tests/data/topology-three-lans.json", import.meta.url);

/** A host on which a topology was applied: a store that says so, and an engine that shows it. */
export class StandInHost implements AsyncDisposable {
  /** The path of the engine's socket. */
  readonly socket: string;
  readonly topology: Topology;
  readonly versionHash: string;
  readonly networks: readonly NetworkItem[];
  #containers: readonly ContainerItem[];
  #engine: FakeEngine | null = null;

  private constructor(folder: string, text: string, hash: string) {
    this.socket = `${folder}/docker.sock`;
    const topology = readTopology(text);
    this.topology = topology;
    this.versionHash = hash;
    const plan = planTopology(topology);
    const labels = { [topologyLabel]: topology.id };
    this.networks = plan.networks.map(({ name, subnet, internal }) =>
      network({ name, subnet, internal, labels })
    );
    this.#containers = plan.containers.map(({ name, base, addressByNetwork }) =>
      base === null
        ? container({ name, labels, addresses: Object.fromEntries(addressByNetwork) })
        : container({ name, labels, networkMode: `container:${base}`, addresses: {} })
    );
  }

  /** Writes `topology.db` into the folder and starts the engine there, on `docker.sock`. */
  static async open(folder: string): Promise<StandInHost> {
    const text = await Deno.readTextFile(document);
    const host = new StandInHost(folder, text, await versionHash(parseJson(text)));
    using store = TopologyStore.open(`${folder}/topology.db`);
    store.put(host.topology.id, host.versionHash, text);
    await host.start();
    return host;
  }

  /** The containers, whatever their state. */
  get containers(): readonly ContainerItem[] {
    return this.#containers;
  }

  /** Starts the engine. */
  async start(): Promise<void> {
    this.#engine = await FakeEngine.start(this.socket);
    this.#engine.networks = this.networks;
    this.#engine.containers = this.#containers;
  }

  /** Stops the engine; its socket is gone. */
  async stop(): Promise<void> {
    await this.#engine?.stop();
    this.#engine = null;
  }

  /** Same as {@linkcode stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Brings a container into another state. Throws `Error` when there is none of that name. */
  setState(name: string, state: ContainerState): void {
    const index = this.#containers.findIndex(({ Names }) => Names[0] === `/${name}`);
    if (index < 0) throw new Error(`the host has no container ${name}`);
    const { Status } = container({ name, state });
    const changed = { ...this.#containers[index]!, State: state, Status };
    this.#containers = this.#containers.with(index, changed);
    if (this.#engine) this.#engine.containers = this.#containers;
  }
}
