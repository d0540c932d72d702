import assert from "node:assert/strict";
import { overlaps, rangeOf } from "../../topology/address.ts";
import type { Changes } from "../../topology/changes.ts";
import type { Topology } from "../../topology/document.ts";
import {
  type ContainerInfo,
  imageLabel,
  type Inventory,
  isRunning,
  isService,
  type NetworkInfo,
  specLabel,
} from "../../topology/inventory.ts";
import type { Plan, PlannedContainer, PlannedNetwork } from "../../topology/plan.ts";
import type { SeededRandom } from "./random.ts";
import {
  bridge,
  labelledFor,
  madeContainer,
  madeNetwork,
  ofAnother,
  unlabelled,
  withoutAddresses,
} from "./plan.ts";
import { decky, lan, topology } from "./topology.ts";

/** A valid topology of up to four LANs and five deckies. */
export function randomTopology(random: SeededRandom): Topology {
  const lans = Array.from({ length: 1 + random.below(4) }, (_, index) =>
    lan(`L${index}`, {
      subnet: `10.${index + (random.isOneIn(8) ? 50 : 0)}.0.0/24`,
      isDmz: index === 0 || random.isOneIn(9),
    }));
  const deckies = Array.from({ length: random.below(6) }, (_, index) => {
    const first = random.below(lans.length);
    const on = lans.filter((_, number) => number === first || random.isOneIn(3));
    const addresses = on.map(({ name, subnet }) => [
      name,
      subnet.replace("0/24", String(2 + index + (random.isOneIn(9) ? 100 : 0))),
    ]);
    return decky(`d${index}`, {
      addresses: Object.fromEntries(addresses),
      services: ["http", "ssh", "sql"].filter(() => random.isOneIn(2)),
      images: random.isOneIn(9) ? { ssh: "special:1" } : {},
    });
  });
  return topology({ lans, deckies });
}

/** The objects of a plan, some of them lost, broken or made by another program. */
export function worn(plan: Plan, random: SeededRandom): Inventory {
  const networks = plan.networks.map(madeNetwork).flatMap((it) => wornNetwork(it, random));
  const containers = plan.containers.map(madeContainer).flatMap((it) => wornContainer(it, random));
  return { networks: [bridge, ...networks], containers };
}

function wornNetwork(actual: NetworkInfo, random: SeededRandom): NetworkInfo[] {
  if (!random.isOneIn(4)) return [actual];
  return random.pick<() => NetworkInfo[]>([
    () => [],
    () => [actual, { ...actual, id: `second ${actual.id}`, subnets: ["10.100.0.0/24"] }],
    () => [{ ...actual, driver: "macvlan" }],
    () => [{ ...actual, internal: !actual.internal }],
    () => [{ ...actual, subnets: ["10.101.0.0/24"] }],
    () => [{ ...actual, subnets: [] }],
    () => [{ ...actual, ...unlabelled }],
    () => [{ ...actual, labels: new Map(actual.labels).set(specLabel, "x") }],
  ])();
}

function wornContainer(actual: ContainerInfo, random: SeededRandom): ContainerInfo[] {
  if (!random.isOneIn(3)) return [actual];
  return random.pick<() => ContainerInfo[]>([
    () => [],
    () => [still(actual, random.pick(["exited", "exited", "created", "dead", "removing"]))],
    () => [still(actual, "restarting")],
    () => [{ ...actual, state: "paused" }],
    () => [{ ...actual, uptime: { atLeast: 0, atMost: 59 } }],
    () => [{ ...actual, unhealthy: true }],
    () => [{ ...actual, ...unlabelled }],
    () => [{ ...actual, labels: new Map(actual.labels).set(specLabel, "x") }],
    () => [{
      ...actual,
      imageId: "sha256:old",
      labels: new Map(actual.labels).set(imageLabel, "sha256:old"),
    }],
    () => [{ ...actual, addressByNetwork: new Map([["bridge", "172.17.0.3"]]) }],
    () => [{
      ...actual,
      networkMode: actual.networkMode.replace(/^container:.*/, "container:gone"),
    }],
    () => [nameless(still(actual, "dead"))],
  ])();
}

/** A container whose name the engine has taken away: lists show a part of its id. */
function nameless(actual: ContainerInfo): ContainerInfo {
  const id = `${actual.name.length}${actual.name}`.slice(-12);
  return { ...actual, id, name: id };
}

function still(actual: ContainerInfo, state: string): ContainerInfo {
  return withoutAddresses({ ...actual, state });
}

/** Objects of others, which conflict with the plan if `inTheWay`. */
export function unmanaged(plan: Plan, random: SeededRandom, inTheWay: boolean): Inventory {
  const { labels } = random.pick([ofAnother, unlabelled, labelledFor(`${plan.topologyId}x`)]);
  const copied = random.pick(plan.containers);
  const network = { ...bridge, labels, id: "strange", name: "strange", subnets: ["10.200.0.0/16"] };
  const container: ContainerInfo = {
    ...{ id: "strange", name: "stranger", labels, networkMode: "strange" },
    ...{ state: random.pick(["running", "exited", "paused"]), unhealthy: false, uptime: null },
    publishedPorts: [],
    ...{ image: "theirs:1", imageId: "sha256:theirs" },
    addressByNetwork: new Map([["strange", "10.200.0.9"]]),
    // A copy by `docker commit`, perhaps with a name like ours.
    ...(copied && random.isOneIn(2) && {
      name: random.pick(["stranger", `${plan.containers[0]!.name}-copy`]),
      labels: madeContainer(copied).labels,
    }),
  };
  if (!inTheWay) return { networks: [network], containers: [container] };
  const lan = random.pick(plan.networks);
  const name = random.pick(plan.containers)?.name ?? "stranger";
  return random.pick<() => Inventory>([
    () => ({ networks: [{ ...network, subnets: [lan.subnet] }], containers: [] }),
    () => ({ networks: [{ ...network, name: lan.name }], containers: [] }),
    () => ({ networks: [network], containers: [{ ...container, name }] }),
    () => {
      const addressByNetwork = new Map([[lan.name, "10.0.0.99"]]);
      return { networks: [], containers: [{ ...container, addressByNetwork }] };
    },
  ])();
}

/** Merges two inventories; a container of `other` replaces one with the same name. */
export function together(one: Inventory, other: Inventory): Inventory {
  const names = new Set(other.containers.map(({ name }) => name));
  return {
    networks: [...one.networks, ...other.networks],
    containers: [...one.containers.filter(({ name }) => !names.has(name)), ...other.containers],
  };
}

let made = 0;

/** Applies changes in the order of the agent. Throws `AssertionError` where an engine would fail. */
export function carryOut(
  { networks, containers }: Changes,
  before: Inventory,
  imageIds: ReadonlyMap<string, string | null>,
): Inventory {
  const engine = new Simulation(before, imageIds);
  const gone = containers.flatMap((it) => it.action === "remove" ? [it.actual] : []);
  for (const actual of [...gone.filter(isService), ...gone.filter((it) => !isService(it))]) {
    engine.remove(actual);
  }
  for (const it of networks) if (it.action === "remove") engine.removeNetwork(it.actual);
  for (const it of networks) if (it.action === "create") engine.createNetwork(it.planned);
  const wanted = containers.flatMap((it) => it.action === "remove" ? [] : [it]);
  const bases = wanted.filter(({ planned }) => planned.base === null);
  for (const it of [...bases, ...wanted.filter(({ planned }) => planned.base !== null)]) {
    if (it.action === "create") engine.create(it.planned);
    else engine.repair(it.action, it.planned, it.actual);
  }
  return { networks: engine.networks, containers: engine.containers };
}

class Simulation {
  networks: readonly NetworkInfo[];
  containers: readonly ContainerInfo[];
  readonly #imageIds: ReadonlyMap<string, string | null>;

  constructor({ networks, containers }: Inventory, imageIds: ReadonlyMap<string, string | null>) {
    this.networks = networks;
    this.containers = containers;
    this.#imageIds = imageIds;
  }

  remove(actual: ContainerInfo): void {
    assert.ok(this.containers.includes(actual), `no such container: ${actual.name}`);
    this.containers = this.containers.filter((it) => it !== actual);
  }

  removeNetwork(actual: NetworkInfo): void {
    assert.ok(this.networks.includes(actual), `no such network: ${actual.name}`);
    const isUsed = this.containers.some((it) =>
      isRunning(it) && it.addressByNetwork.has(actual.name)
    );
    assert.ok(!isUsed, `${actual.name} has active endpoints`);
    this.networks = this.networks.filter((it) => it !== actual);
  }

  createNetwork(planned: PlannedNetwork): void {
    const { name, subnet } = planned;
    for (const other of this.networks) {
      assert.notEqual(other.name, name, "a network with this name exists");
      for (const taken of other.subnets) {
        assert.ok(
          !overlaps(rangeOf(taken), rangeOf(subnet)),
          `pool ${subnet} overlaps with ${taken}`,
        );
      }
    }
    this.networks = [...this.networks, { ...madeNetwork(planned), id: `network ${++made}` }];
  }

  create(planned: PlannedContainer): void {
    const { name, request: { Image } } = planned;
    assert.ok(!this.containers.some((it) => it.name === name), `the name ${name} is in use`);
    const imageId = this.#imageIds.get(Image);
    assert.ok(imageId, `no such image: ${Image}`);
    const actual = { ...madeContainer(planned), state: "created" };
    this.containers = [
      ...this.containers,
      this.#started(planned, {
        ...actual,
        id: `container ${++made}`,
        labels: new Map(actual.labels).set(imageLabel, imageId),
        ...(planned.base !== null && { networkMode: `container:${this.#baseOf(planned).id}` }),
      }),
    ];
  }

  repair(action: string, planned: PlannedContainer, actual: ContainerInfo): void {
    assert.ok(this.containers.includes(actual), `no such container: ${actual.name}`);
    const isPaused = actual.state === "paused";
    assert.equal(isPaused, action === "unpause", `${action} in the state ${actual.state}`);
    const repaired = this.#started(planned, actual);
    this.containers = this.containers.map((it) => it === actual ? repaired : it);
  }

  #started(planned: PlannedContainer, actual: ContainerInfo): ContainerInfo {
    for (const name of planned.addressByNetwork.keys()) {
      const count = this.networks.filter((it) => it.name === name).length;
      assert.equal(count, 1, `there are ${count} networks of the name ${name}`);
    }
    if (planned.base !== null) {
      const base = this.#baseOf(planned);
      assert.ok([base.id, base.name, ""].includes(actual.networkMode.replace(/^container:/, "")));
      assert.ok(base.state === "running", `cannot join the network of ${base.name}`);
    }
    const uptime = actual.state === "paused" ? actual.uptime : { atLeast: 0, atMost: 1 };
    return { ...actual, state: "running", uptime, addressByNetwork: planned.addressByNetwork };
  }

  #baseOf({ base }: PlannedContainer): ContainerInfo {
    const actual = this.containers.find(({ name }) => name === base);
    assert.ok(actual, `no such container: ${base}`);
    return actual;
  }
}
