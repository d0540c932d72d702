/** Random topologies, and what an engine may hold of them after a time in rough hands. */

import type { Random } from "../scripts/random_document.ts";
import type { Topology } from "../topology/document.ts";
import {
  type ContainerFact,
  imageLabel,
  type Inventory,
  type NetworkFact,
  specLabel,
  topologyLabel,
} from "../topology/inventory.ts";
import type { Plan } from "../topology/plan.ts";
import { bridge, madeContainer, madeNetwork, ofAnother, unlabelled } from "./sample_plan.ts";
import { decky, lan, topology } from "./sample_topology.ts";

/** Chance with a memory: the same seed gives the same choices. */
export class Dice {
  constructor(readonly random: Random) {}

  /** A whole number from 0 to `limit`, which is not reached. */
  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  isOneIn(count: number): boolean {
    return this.below(count) === 0;
  }
}

/** A valid topology of up to four LANs and five deckies. */
export function randomTopology(dice: Dice): Topology {
  const lans = Array.from({ length: 1 + dice.below(4) }, (_, index) =>
    lan(`L${index}`, {
      subnet: `10.${index + (dice.isOneIn(8) ? 50 : 0)}.0.0/24`,
      isDmz: index === 0 || dice.isOneIn(9),
    }));
  const deckies = Array.from({ length: dice.below(6) }, (_, index) => {
    const first = dice.below(lans.length);
    const on = lans.filter((_, number) => number === first || dice.isOneIn(3));
    const addresses = on.map(({ name, subnet }) => [
      name,
      subnet.replace("0/24", String(2 + index + (dice.isOneIn(9) ? 100 : 0))),
    ]);
    return decky(`d${index}`, {
      addresses: Object.fromEntries(addresses),
      services: ["http", "ssh", "sql"].filter(() => dice.isOneIn(2)),
      images: dice.isOneIn(9) ? { ssh: "special:1" } : {},
    });
  });
  return topology({ lans, deckies });
}

/** What an engine holds of a plan, some of it lost, broken or made by another program. */
export function worn(plan: Plan, dice: Dice): Inventory {
  const networks = plan.networks.map(madeNetwork).flatMap((it) => wornNetwork(it, dice));
  const containers = plan.containers.map(madeContainer).flatMap((it) => wornContainer(it, dice));
  return { networks: [bridge, ...networks], containers };
}

function wornNetwork(fact: NetworkFact, dice: Dice): NetworkFact[] {
  if (!dice.isOneIn(4)) return [fact];
  return dice.pick<() => NetworkFact[]>([
    () => [],
    () => [fact, { ...fact, id: `second ${fact.id}`, subnets: ["10.100.0.0/24"] }],
    () => [{ ...fact, driver: "macvlan" }],
    () => [{ ...fact, internal: !fact.internal }],
    () => [{ ...fact, subnets: ["10.101.0.0/24"] }],
    () => [{ ...fact, subnets: [] }],
    () => [{ ...fact, ...unlabelled }],
    () => [{ ...fact, labels: new Map(fact.labels).set(specLabel, "x") }],
  ])();
}

function wornContainer(fact: ContainerFact, dice: Dice): ContainerFact[] {
  if (!dice.isOneIn(3)) return [fact];
  const [label, value] = dice.pick([[specLabel, "x"], [imageLabel, "sha256:old"]] as const);
  return dice.pick<() => ContainerFact[]>([
    () => [],
    () => [still(fact, dice.pick(["exited", "exited", "created", "dead", "removing"]))],
    () => [still(fact, "restarting")],
    () => [{ ...fact, state: "paused" }],
    () => [{ ...fact, uptime: { atLeast: 0, atMost: 1 } }],
    () => [{ ...fact, unhealthy: true }],
    () => [{ ...fact, ...unlabelled }],
    () => [{ ...fact, labels: new Map(fact.labels).set(label, value) }],
    () => [{ ...fact, addressByNetwork: new Map([["bridge", "172.17.0.3"]]) }],
    () => [{ ...fact, networkMode: fact.networkMode.replace(/^container:.*/, "container:gone") }],
    () => [{ ...still(fact, "dead"), name: `nameless ${fact.id}` }],
  ])();
}

/** The engine forgets the addresses of a container that does not run. */
function still(fact: ContainerFact, state: string): ContainerFact {
  const idle = [...fact.addressByNetwork.keys()].map((name) => [name, ""] as const);
  return { ...fact, state, addressByNetwork: new Map(idle) };
}

/** What belongs to others: beside a topology, or in the way of the plan where `inTheWay`. */
export function strangers(plan: Plan, dice: Dice, inTheWay: boolean): Inventory {
  const labels = dice.pick([
    ofAnother.labels,
    unlabelled.labels,
    new Map([[topologyLabel, `${plan.topologyId}x`]]),
  ]);
  const network = { ...bridge, labels, id: "strange", name: "strange", subnets: ["10.200.0.0/16"] };
  const container: ContainerFact = {
    id: "strange",
    name: "stranger",
    state: dice.pick(["running", "exited", "paused"]),
    unhealthy: false,
    uptime: null,
    labels,
    networkMode: "strange",
    addressByNetwork: new Map([["strange", "10.200.0.9"]]),
  };
  if (!inTheWay) return { networks: [network], containers: [container] };
  const lan = dice.pick(plan.networks);
  const name = dice.pick(plan.containers)?.name ?? "stranger";
  return dice.pick<() => Inventory>([
    () => ({ networks: [{ ...network, subnets: [lan.subnet] }], containers: [] }),
    () => ({ networks: [{ ...network, name: lan.name }], containers: [] }),
    () => ({ networks: [network], containers: [{ ...container, name }] }),
    () => {
      const addressByNetwork = new Map([[lan.name, "10.0.0.99"]]);
      return { networks: [], containers: [{ ...container, addressByNetwork }] };
    },
  ])();
}

/** Two inventories in one; a container that is there bears its name alone. */
export function together(one: Inventory, other: Inventory): Inventory {
  const names = new Set(other.containers.map(({ name }) => name));
  return {
    networks: [...one.networks, ...other.networks],
    containers: [...one.containers.filter(({ name }) => !names.has(name)), ...other.containers],
  };
}
