/** What an engine would hold after changes: made in memory, and as strict as an engine. */

import assert from "node:assert/strict";
import { isOverlapping, parseCidr, subnetOf } from "../topology/address.ts";
import type { Changes } from "../topology/changes/changes.ts";
import {
  type ContainerFact,
  imageLabel,
  type Inventory,
  isRunning,
  isService,
  type NetworkFact,
} from "../topology/inventory.ts";
import type { PlannedContainer, PlannedNetwork } from "../topology/plan.ts";
import { madeContainer, madeNetwork } from "./sample_plan.ts";

let made = 0;

/**
 * Carries changes out in the order in which the agent does. Throws `AssertionError` where an engine
 * would refuse. Image name → id, or null when the image is absent.
 */
export function carryOut(
  { networks, containers }: Changes,
  before: Inventory,
  imageIds: ReadonlyMap<string, string | null>,
): Inventory {
  const engine = new Simulation(before, imageIds);
  const gone = containers.flatMap((it) => it.action === "remove" ? [it.fact] : []);
  for (const fact of [...gone.filter(isService), ...gone.filter((it) => !isService(it))]) {
    engine.remove(fact);
  }
  for (const it of networks) if (it.action === "remove") engine.removeNetwork(it.fact);
  for (const it of networks) if (it.action === "create") engine.createNetwork(it.planned);
  const wanted = containers.flatMap((it) => it.action === "remove" ? [] : [it]);
  const bases = wanted.filter(({ planned }) => planned.base === null);
  for (const it of [...bases, ...wanted.filter(({ planned }) => planned.base !== null)]) {
    if (it.action === "create") engine.create(it.planned);
    else engine.repair(it.action, it.planned, it.fact);
  }
  return { networks: engine.networks, containers: engine.containers };
}

class Simulation {
  networks: readonly NetworkFact[];
  containers: readonly ContainerFact[];
  readonly #imageIds: ReadonlyMap<string, string | null>;

  constructor({ networks, containers }: Inventory, imageIds: ReadonlyMap<string, string | null>) {
    this.networks = networks;
    this.containers = containers;
    this.#imageIds = imageIds;
  }

  remove(fact: ContainerFact): void {
    assert.ok(this.containers.includes(fact), `no such container: ${fact.name}`);
    this.containers = this.containers.filter((it) => it !== fact);
  }

  removeNetwork(fact: NetworkFact): void {
    assert.ok(this.networks.includes(fact), `no such network: ${fact.name}`);
    const guest = this.containers.find((it) => isRunning(it) && it.addressByNetwork.has(fact.name));
    assert.equal(guest?.name, undefined, `${fact.name} has active endpoints`);
    this.networks = this.networks.filter((it) => it !== fact);
  }

  createNetwork(planned: PlannedNetwork): void {
    const { name, subnet } = planned;
    for (const other of this.networks) {
      assert.notEqual(other.name, name, "a network with this name exists");
      for (const taken of other.subnets) {
        assert.ok(!isOverlap(taken, subnet), `pool ${subnet} overlaps with ${taken}`);
      }
    }
    this.networks = [...this.networks, { ...madeNetwork(planned), id: `network ${++made}` }];
  }

  create(planned: PlannedContainer): void {
    const { name, request: { Image } } = planned;
    assert.ok(!this.containers.some((it) => it.name === name), `the name ${name} is in use`);
    const imageId = this.#imageIds.get(Image);
    assert.ok(imageId, `no such image: ${Image}`);
    const fact = { ...madeContainer(planned), state: "created" };
    this.containers = [
      ...this.containers,
      this.#started(planned, {
        ...fact,
        id: `container ${++made}`,
        labels: new Map(fact.labels).set(imageLabel, imageId),
        ...(planned.base !== null && { networkMode: `container:${this.#baseOf(planned).id}` }),
      }),
    ];
  }

  repair(action: string, planned: PlannedContainer, fact: ContainerFact): void {
    assert.ok(this.containers.includes(fact), `no such container: ${fact.name}`);
    const isPaused = fact.state === "paused";
    assert.equal(isPaused, action === "unpause", `${action} in the state ${fact.state}`);
    const repaired = this.#started(planned, fact);
    this.containers = this.containers.map((it) => it === fact ? repaired : it);
  }

  #started(planned: PlannedContainer, fact: ContainerFact): ContainerFact {
    for (const name of planned.addressByNetwork.keys()) {
      const count = this.networks.filter((it) => it.name === name).length;
      assert.equal(count, 1, `there are ${count} networks of the name ${name}`);
    }
    if (planned.base !== null) {
      const base = this.#baseOf(planned);
      assert.ok([base.id, base.name, ""].includes(fact.networkMode.replace(/^container:/, "")));
      assert.ok(base.state === "running", `cannot join the network of ${base.name}`);
    }
    const uptime = fact.state === "paused" ? fact.uptime : { atLeast: 0, atMost: 1 };
    return { ...fact, state: "running", uptime, addressByNetwork: planned.addressByNetwork };
  }

  #baseOf({ base }: PlannedContainer): ContainerFact {
    const fact = this.containers.find(({ name }) => name === base);
    assert.ok(fact, `no such container: ${base}`);
    return fact;
  }
}

function isOverlap(a: string, b: string): boolean {
  const [one, other] = [a, b].map(parseCidr);
  return one != null && other != null && isOverlapping(subnetOf(one), subnetOf(other));
}
