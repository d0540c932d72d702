import assert from "node:assert/strict";
import { readTopology } from "./document.ts";
import { type Drift, driftKinds, findDrift } from "./drift.ts";
import {
  type ContainerFact,
  type Inventory,
  type NetworkFact,
  topologyLabel,
} from "./inventory.ts";
import { planTopology } from "./plan.ts";

const file = new URL("../tests/data/topology-one-lan.json", import.meta.url);
const plan = planTopology(readTopology(Deno.readTextFileSync(file)));
const lan = "decnet_t_11111111_lan-00";
const base = "decnet_t_11111111_decky-001";
const service = "decnet_t_11111111_decky-001-ssh";

const labels = new Map([[topologyLabel, "11111111-2222-3333-4444-555555555555"]]);
const network: NetworkFact = {
  name: lan,
  driver: "bridge",
  internal: false,
  subnets: ["10.0.0.0/24"],
  labels,
};
const baseContainer: ContainerFact = {
  id: "b".repeat(64),
  name: base,
  state: "running",
  unhealthy: false,
  labels,
  networkMode: lan,
  addressByNetwork: new Map([[lan, "10.0.0.2"]]),
};
const serviceContainer: ContainerFact = {
  ...baseContainer,
  id: "5".repeat(64),
  name: service,
  networkMode: `container:${baseContainer.id}`,
  addressByNetwork: new Map(),
};
const asApplied: Inventory = { networks: [network], containers: [baseContainer, serviceContainer] };

/** The drift in short, `kind type name: detail` for each difference. */
function told(drift: Drift): string[] {
  return driftKinds.flatMap((kind) =>
    drift[kind].map(({ type, name, detail }) => `${kind} ${type} ${name}${detail && `: ${detail}`}`)
  );
}

function toldOf(changed: Partial<Inventory>): string[] {
  return told(findDrift(plan, { ...asApplied, ...changed }));
}

const withBase = (change: Partial<ContainerFact>) =>
  toldOf({ containers: [{ ...baseContainer, ...change }, serviceContainer] });
const withService = (change: Partial<ContainerFact>) =>
  toldOf({ containers: [baseContainer, { ...serviceContainer, ...change }] });
const withNetwork = (change: Partial<NetworkFact>) =>
  toldOf({ networks: [{ ...network, ...change }] });

Deno.test("findDrift() finds nothing where all is as applied", () => {
  assert.deepEqual(findDrift(plan, asApplied), {
    state: "consistent",
    missing: [],
    stopped: [],
    unhealthy: [],
    changed: [],
    unexpected: [],
  });
});

Deno.test("findDrift() tells an idle host with nothing on it from one with leftovers", () => {
  assert.equal(findDrift(null, { networks: [], containers: [] }).state, "consistent");
  const drift = findDrift(null, asApplied);
  assert.equal(drift.state, "drifted");
  const origin = "of topology 11111111-2222-3333-4444-555555555555";
  assert.deepEqual(told(drift), [
    `unexpected container ${base}: running, ${origin}`,
    `unexpected container ${service}: running, ${origin}`,
    `unexpected network ${lan}: ${origin}`,
  ]);
});

Deno.test("findDrift() finds what is missing", () => {
  assert.deepEqual(toldOf({ networks: [] }), [`missing network ${lan}`]);
  assert.deepEqual(toldOf({ containers: [baseContainer] }), [`missing container ${service}`]);
  assert.deepEqual(toldOf({ networks: [], containers: [] }), [
    `missing container ${base}`,
    `missing container ${service}`,
    `missing network ${lan}`,
  ]);
});

Deno.test("findDrift() blames a missing base, and not the service that hung on it", () => {
  assert.deepEqual(toldOf({ containers: [serviceContainer] }), [`missing container ${base}`]);
});

Deno.test("findDrift() finds what is stopped, in every state that is", () => {
  for (const state of ["created", "exited", "removing", "dead", "a word of a newer engine"]) {
    // The engine forgets the address of a container that does not run.
    const addressByNetwork = new Map([[lan, ""]]);
    assert.deepEqual(withBase({ state, addressByNetwork }), [
      `stopped container ${base}: ${state}`,
    ]);
    assert.deepEqual(withService({ state }), [`stopped container ${service}: ${state}`]);
  }
});

Deno.test("findDrift() finds what is unhealthy: restarting, paused or failing its check", () => {
  const addressByNetwork = new Map([[lan, ""]]);
  assert.deepEqual(
    withBase({ state: "restarting", addressByNetwork }),
    [`unhealthy container ${base}: restarting`],
  );
  assert.deepEqual(withService({ state: "paused" }), [`unhealthy container ${service}: paused`]);
  assert.deepEqual(
    withService({ unhealthy: true }),
    [`unhealthy container ${service}: health check failing`],
  );
});

Deno.test("findDrift() finds a changed network", () => {
  const cases: [change: Partial<NetworkFact>, detail: string][] = [
    [{ driver: "macvlan" }, "driver macvlan, not bridge"],
    [{ subnets: ["10.0.1.0/24"] }, "subnet 10.0.1.0/24, not 10.0.0.0/24"],
    [{ subnets: [] }, "subnet none, not 10.0.0.0/24"],
    [
      { subnets: ["10.0.0.0/24", "10.9.0.0/24"] },
      "subnet 10.0.0.0/24 10.9.0.0/24, not 10.0.0.0/24",
    ],
    [{ internal: true }, "internal"],
  ];
  for (const [change, detail] of cases) {
    assert.deepEqual(withNetwork(change), [`changed network ${lan}: ${detail}`]);
  }
  const internalPlan = { ...plan, networks: [{ ...plan.networks[0]!, internal: true }] };
  assert.deepEqual(told(findDrift(internalPlan, asApplied)), [
    `changed network ${lan}: not internal`,
  ]);
});

Deno.test("findDrift() finds a base with other addresses", () => {
  const cases: [addresses: [string, string][], detail: string][] = [
    [[[lan, "10.0.0.3"]], `address 10.0.0.3 on ${lan}, not 10.0.0.2`],
    [[[lan, ""]], `address none on ${lan}, not 10.0.0.2`],
    [[], `not attached to ${lan}`],
    [[["bridge", "172.17.0.2"]], `not attached to ${lan}`],
    [[[lan, "10.0.0.2"], ["bridge", "172.17.0.2"]], "attached to bridge"],
  ];
  for (const [addresses, detail] of cases) {
    const addressByNetwork = new Map(addresses);
    assert.deepEqual(withBase({ addressByNetwork }), [`changed container ${base}: ${detail}`]);
  }
});

Deno.test("findDrift() finds a service whose base was recreated", () => {
  assert.deepEqual(withBase({ id: "c".repeat(64) }), [
    `changed container ${service}: does not share the network of ${base}`,
  ]);
  assert.deepEqual(withService({ networkMode: "default" }), [
    `changed container ${service}: does not share the network of ${base}`,
  ]);
  // Podman keeps the name that was asked for.
  assert.deepEqual(withService({ networkMode: `container:${base}` }), []);
});

Deno.test("findDrift() finds what is unexpected, whether it runs or not", () => {
  const stray: ContainerFact = { ...baseContainer, name: "decnet-old", labels: new Map() };
  assert.deepEqual(
    toldOf({ containers: [...asApplied.containers, { ...stray, state: "exited" }] }),
    ["unexpected container decnet-old: exited"],
  );
  assert.deepEqual(
    toldOf({ networks: [network, { ...network, name: "decnet_t_old", labels: new Map() }] }),
    ["unexpected network decnet_t_old"],
  );
});

Deno.test("findDrift() keeps a network and a container of the same name apart", () => {
  const name = "decnet_t_same";
  const found = toldOf({
    networks: [network, { ...network, name }],
    containers: [...asApplied.containers, { ...baseContainer, name, labels: new Map() }],
  });
  assert.deepEqual(found, [
    `unexpected network ${name}: of topology 11111111-2222-3333-4444-555555555555`,
    `unexpected container ${name}: running`,
  ]);
  const swapped = {
    networks: [{ ...network, name: base }],
    containers: [{ ...baseContainer, name: lan }, serviceContainer],
  };
  assert.deepEqual(told(findDrift(plan, swapped)).map((line) => line.split(":")[0]), [
    `missing container ${base}`,
    `missing network ${lan}`,
    `unexpected network ${base}`,
    `unexpected container ${lan}`,
  ]);
});

Deno.test("findDrift() sorts each list by code point", () => {
  const names = [
    "decnet-b",
    "decnet-B",
    "decnet-10",
    "decnet-9",
    "decnet-\u{1f600}",
    "decnet-\uffff",
  ];
  const containers = names.map((name) => ({ ...baseContainer, name }));
  const drift = findDrift(null, { networks: [{ ...network, name: "decnet-a" }], containers });
  assert.deepEqual(drift.unexpected.map(({ name }) => name), [
    "decnet-10",
    "decnet-9",
    "decnet-B",
    "decnet-a",
    "decnet-b",
    "decnet-\uffff",
    "decnet-\u{1f600}",
  ]);
});
