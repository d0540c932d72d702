import { readTopology } from "../../topology/document.ts";
import { type Drift, findDrift } from "../../topology/drift.ts";
import { topologyLabel } from "../../topology/inventory.ts";
import { type Json, parseJson } from "../../topology/json.ts";
import { defaultPlanOptions, type Plan, planTopology } from "../../topology/plan.ts";
import type { ContainerOptions, DockerSandbox } from "./sandbox.ts";

const documentUrl = new URL("../data/topology-three-lans.json", import.meta.url);

/** The topology of three LANs, with an id and subnets of the sandbox's own. */
export class ThreeLans {
  readonly plan: Plan;
  /** The label that everything carries. */
  readonly labels: Readonly<Record<string, string>>;
  readonly #sandbox: DockerSandbox;

  private constructor(sandbox: DockerSandbox, plan: Plan) {
    this.plan = plan;
    this.labels = { [topologyLabel]: plan.topologyId };
    this.#sandbox = sandbox;
  }

  /** Plans the topology; makes nothing yet. */
  static async open(sandbox: DockerSandbox): Promise<ThreeLans> {
    const topology = readTopology(threeLansDocument(sandbox));
    return new ThreeLans(
      sandbox,
      await planTopology(topology, { ...defaultPlanOptions, publish: null }),
    );
  }

  /** The full name of a LAN, a decky or a service, in lower case. */
  name(short: string): string {
    return `decnet_t_${this.#sandbox.tag}_${short}`;
  }

  /** Makes all of it as planned. */
  async build(): Promise<void> {
    for (const { name } of this.plan.networks) await this.makeNetwork(name);
    for (const { name } of this.plan.containers) await this.makeContainer(name);
  }

  /** Makes a planned network, and attaches what is planned to be there and exists. */
  async makeNetwork(name: string, change: { subnet?: string; internal?: boolean } = {}) {
    const { subnet, internal } = this.plan.networks.find((it) => it.name === name)!;
    const { labels } = this;
    await this.#sandbox.makeNetwork(name, { subnet, internal, labels, ...change });
  }

  /** Makes a planned container. */
  async makeContainer(name: string, change: Partial<ContainerOptions> = {}): Promise<void> {
    const { addressByNetwork, base } = this.plan.containers.find((it) => it.name === name)!;
    await this.#sandbox.makeContainer(name, {
      labels: this.labels,
      ...(base === null ? { addresses: addressByNetwork } : { base }),
      ...change,
    });
  }

  /** Recreates a network with a change; nothing is attached to it then. */
  async replaceNetwork(name: string, change: { subnet?: string; internal?: boolean } = {}) {
    for (const { name: container } of this.attachedTo(name)) {
      await this.#sandbox.disconnect(name, container).catch(() => {}); // It may be cut off already.
    }
    await this.#sandbox.docker.getNetwork(name).remove();
    await this.makeNetwork(name, change);
  }

  /** Attaches to a network what is planned to be there. */
  async reattach(name: string): Promise<void> {
    for (const { name: container, addressByNetwork } of this.attachedTo(name)) {
      await this.#sandbox.connect(name, container, addressByNetwork.get(name)!);
    }
  }

  /** The containers that are planned to be on a network. */
  attachedTo(network: string): Plan["containers"] {
    return this.plan.containers.filter(({ addressByNetwork }) => addressByNetwork.has(network));
  }

  /** Compares the engine with the plan, or with nothing. */
  async drift(plan: Plan | null = this.plan): Promise<Drift> {
    return await driftOf(this.#sandbox, plan);
  }
}

/** The document of three LANs, with an id and subnets of the sandbox's own. */
export function threeLansDocument(sandbox: DockerSandbox): Json {
  const text = Deno.readTextFileSync(documentUrl)
    .replaceAll("7c9e6679", sandbox.tag)
    .replace(/\b10\.77\.(\d)\.0\/24/g, (_, number) => sandbox.subnet(Number(number)))
    .replace(/\b10\.77\.(\d)\.(\d+)/g, (_, number, host) => {
      return sandbox.address(Number(number), Number(host));
    });
  return parseJson(text);
}

/** Compares what bears the sandbox's prefix with a plan, or with nothing. */
export async function driftOf(sandbox: DockerSandbox, plan: Plan | null): Promise<Drift> {
  const prefixes = [`decnet_t_${sandbox.tag}_`];
  const { inventory } = await sandbox.observe({
    networkPrefixes: prefixes,
    containerPrefixes: prefixes,
  });
  return findDrift(plan, inventory);
}
