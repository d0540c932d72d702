import assert from "node:assert/strict";
import {
  asApplied,
  base,
  baseContainer,
  describeDrift,
  driftOf,
  lanName,
  network,
  plan,
  service,
  serviceContainer,
  withBase,
  withNetwork,
  withService,
} from "../tests/support/inventory.ts";
import {
  full,
  id,
  madeContainer,
  madeNetwork,
  ofAnother,
  plannedContainer,
  plannedNetwork,
  relabelled,
  unlabelled,
} from "../tests/support/plan.ts";
import { findDrift, isOurContainer, isOurNetwork } from "./drift.ts";
import { type ContainerInfo, type NetworkInfo, specLabel, topologyLabel } from "./inventory.ts";

Deno.test("findDrift() finds objects with our names that are of another topology", () => {
  // The names bear the first eight characters of the id only.
  const id = "11111111-9999-9999-9999-999999999999";
  const foreign = { labels: new Map([[topologyLabel, id]]) };
  assert.deepEqual(withNetwork(foreign), [
    `changed network ${lanName}: of topology ${id}`,
  ]);
  assert.deepEqual(withBase(foreign), [`changed container ${base}: of topology ${id}`]);
  assert.deepEqual(withService(foreign), [`changed container ${service}: of topology ${id}`]);
  // Whose it is comes before what is wrong with it; that it does not run comes first.
  assert.deepEqual(withNetwork({ ...foreign, driver: "macvlan" }), [
    `changed network ${lanName}: of topology ${id}`,
  ]);
  assert.deepEqual(withBase({ ...foreign, unhealthy: true, addressByNetwork: new Map() }), [
    `changed container ${base}: of topology ${id}`,
  ]);
  assert.deepEqual(withBase({ ...foreign, state: "exited" }), [
    `stopped container ${base}: exited`,
  ]);
});

Deno.test("findDrift() takes objects with our names and no label for ours", () => {
  const unlabelled = { labels: new Map([["other", "x"]]) };
  for (const found of [withNetwork(unlabelled), withBase(unlabelled), withService(unlabelled)]) {
    assert.deepEqual(found, []);
  }
});

Deno.test("findDrift() finds a changed network", () => {
  const cases: [change: Partial<NetworkInfo>, detail: string][] = [
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
    assert.deepEqual(withNetwork(change), [`changed network ${lanName}: ${detail}`]);
  }
  const internalPlan = { ...plan, networks: [{ ...plan.networks[0]!, internal: true }] };
  assert.deepEqual(describeDrift(findDrift(internalPlan, asApplied)), [
    `changed network ${lanName}: not internal`,
  ]);
});

Deno.test("findDrift() finds a base with other addresses", () => {
  const cases: [addresses: [string, string][], detail: string][] = [
    [[[lanName, "10.0.0.3"]], `address 10.0.0.3 on ${lanName}, not 10.0.0.2`],
    [[[lanName, ""]], `address none on ${lanName}, not 10.0.0.2`],
    [[], `not attached to ${lanName}`],
    [[["bridge", "172.17.0.2"]], `not attached to ${lanName}`],
    [[[lanName, "10.0.0.2"], ["bridge", "172.17.0.2"]], "attached to bridge"],
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

Deno.test("findDrift() finds leftovers on an idle host", () => {
  assert.equal(findDrift(null, { networks: [], containers: [] }).state, "consistent");
  const drift = findDrift(null, asApplied);
  assert.equal(drift.state, "drifted");
  const origin = "of topology 11111111-2222-3333-4444-555555555555";
  assert.deepEqual(describeDrift(drift), [
    `unexpected container ${base}: running, ${origin}`,
    `unexpected container ${service}: running, ${origin}`,
    `unexpected network ${lanName}: ${origin}`,
  ]);
});

Deno.test("findDrift() accepts stopped containers, no networks, when idle", () => {
  const withState = (state: string) =>
    describeDrift(findDrift(null, {
      networks: [],
      containers: [{ ...baseContainer, state, labels: new Map() }],
    }));
  for (const state of ["created", "exited", "removing", "dead"]) {
    assert.deepEqual(withState(state), [], state);
  }
  for (const state of ["running", "paused", "restarting"]) {
    assert.deepEqual(withState(state), [`unexpected container ${base}: ${state}`]);
  }
  const leftovers = { networks: [network], containers: [{ ...baseContainer, state: "exited" }] };
  assert.deepEqual(describeDrift(findDrift(null, leftovers)), [
    "unexpected network decnet_t_11111111_lan-00: " +
    "of topology 11111111-2222-3333-4444-555555555555",
  ]);
  // Where a topology is applied, even an empty one, they are in nobody's way but unexpected.
  assert.deepEqual(
    describeDrift(findDrift({ topologyId: "A", networks: [], containers: [] }, leftovers)),
    [
      "unexpected container decnet_t_11111111_decky-001: " +
      "exited, of topology 11111111-2222-3333-4444-555555555555",
      "unexpected network decnet_t_11111111_lan-00: " +
      "of topology 11111111-2222-3333-4444-555555555555",
    ],
  );
});

Deno.test("findDrift() finds what is missing", () => {
  assert.deepEqual(driftOf({ networks: [] }), [`missing network ${lanName}`]);
  assert.deepEqual(driftOf({ containers: [baseContainer] }), [`missing container ${service}`]);
  assert.deepEqual(driftOf({ networks: [], containers: [] }), [
    `missing container ${base}`,
    `missing container ${service}`,
    `missing network ${lanName}`,
  ]);
});

Deno.test("findDrift() blames a missing base, and not the service that hung on it", () => {
  assert.deepEqual(driftOf({ containers: [serviceContainer] }), [`missing container ${base}`]);
});

Deno.test("findDrift() finds what is stopped, in every state that is", () => {
  for (const state of ["created", "exited", "removing", "dead", "a word of a newer engine"]) {
    // The engine forgets the address of a container that does not run.
    const addressByNetwork = new Map([[lanName, ""]]);
    assert.deepEqual(withBase({ state, addressByNetwork }), [
      `stopped container ${base}: ${state}`,
    ]);
    assert.deepEqual(withService({ state }), [`stopped container ${service}: ${state}`]);
  }
});

Deno.test("findDrift() finds restarting, paused and unhealthy containers", () => {
  const addressByNetwork = new Map([[lanName, ""]]);
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

Deno.test("findDrift() finds what is unexpected, whether it runs or not", () => {
  const stray: ContainerInfo = { ...baseContainer, name: "decnet-old", labels: new Map() };
  assert.deepEqual(
    driftOf({ containers: [...asApplied.containers, { ...stray, state: "exited" }] }),
    ["unexpected container decnet-old: exited"],
  );
  assert.deepEqual(
    driftOf({ networks: [network, { ...network, name: "decnet_t_old", labels: new Map() }] }),
    ["unexpected network decnet_t_old"],
  );
});

Deno.test("findDrift() keeps a network and a container of the same name apart", () => {
  const name = "decnet_t_same";
  const found = driftOf({
    networks: [network, { ...network, name }],
    containers: [...asApplied.containers, { ...baseContainer, name, labels: new Map() }],
  });
  assert.deepEqual(found, [
    `unexpected network ${name}: of this topology`,
    `unexpected container ${name}: running`,
  ]);
  const swapped = {
    networks: [{ ...network, name: base }],
    containers: [{ ...baseContainer, name: lanName }, serviceContainer],
  };
  assert.deepEqual(describeDrift(findDrift(plan, swapped)).map((line) => line.split(":")[0]), [
    `missing container ${base}`,
    `missing network ${lanName}`,
    `unexpected network ${base}`,
    `unexpected container ${lanName}`,
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

const stranger: NetworkInfo = {
  ...network,
  id: "0".repeat(64),
  subnets: ["10.9.0.0/24"],
  labels: new Map(),
};
const labelledForAnother: NetworkInfo = {
  ...stranger,
  id: "f".repeat(64),
  subnets: ["10.8.0.0/24"],
  labels: new Map([[topologyLabel, "another"]]),
};

Deno.test("findDrift() prefers the planned one of networks with one name", () => {
  for (const networks of [[network, stranger], [stranger, network]]) {
    assert.deepEqual(driftOf({ networks }), [`unexpected network ${lanName}`]);
  }
});

Deno.test("findDrift() prefers our network when none is as planned", () => {
  const changed = { ...network, internal: true };
  for (const networks of [[changed, stranger], [stranger, changed]]) {
    assert.deepEqual(driftOf({ networks }), [
      `changed network ${lanName}: internal`,
      `unexpected network ${lanName}`,
    ]);
  }
});

Deno.test("findDrift() finds the same in whatever order networks come", () => {
  const orders = [
    [network, stranger, labelledForAnother],
    [labelledForAnother, stranger, network],
    [stranger, network, labelledForAnother],
  ];
  for (const order of orders) {
    assert.deepEqual(driftOf({ networks: order }), [
      `unexpected network ${lanName}`,
      `unexpected network ${lanName}: of topology another`,
    ]);
    const unmanaged = order.filter((it) => it !== network);
    assert.deepEqual(driftOf({ networks: unmanaged }), [
      `changed network ${lanName}: subnet 10.9.0.0/24, not 10.0.0.0/24`,
      `unexpected network ${lanName}: of topology another`,
    ]);
  }
});

const empty = { labels: new Map([[topologyLabel, ""]]) };

Deno.test("isOurNetwork() uses the label, or else driver and subnet", () => {
  const cases: [change: Partial<NetworkInfo>, isOurs: boolean][] = [
    [{}, true],
    [{ driver: "macvlan", subnets: [], internal: true }, true],
    [relabelled("dmz", { [specLabel]: "x" }), true],
    [ofAnother, false],
    [empty, false],
    [unlabelled, true],
    [{ ...unlabelled, internal: true }, true],
    [{ ...unlabelled, driver: "macvlan" }, false],
    [{ ...unlabelled, subnets: [] }, false],
    [{ ...unlabelled, subnets: ["10.1.0.0/16"] }, false],
    [{ ...unlabelled, subnets: ["10.1.0.0/24", "10.9.0.0/24"] }, false],
  ];
  const planned = plannedNetwork("dmz");
  for (const [change, isOurs] of cases) {
    const actual = { ...madeNetwork(planned), ...change };
    assert.equal(isOurNetwork(planned, actual, id), isOurs, JSON.stringify(change));
  }
});

const webBase = madeContainer(plannedContainer("web"));
const cases: [name: string, change: Partial<ContainerInfo>, isOurs: boolean][] = [
  ["web", {}, true],
  ["web", { addressByNetwork: new Map() }, true],
  ["web", relabelled("web", { [specLabel]: "x" }), true],
  ["web", ofAnother, false],
  ["web", empty, false],
  ["web", unlabelled, true],
  ["web", { ...unlabelled, labels: new Map([[specLabel, "x"]]) }, false],
  ["web", { ...unlabelled, addressByNetwork: new Map([[full("dmz"), "10.1.0.5"]]) }, false],
  ["web-ssh", {}, true],
  ["web-ssh", { networkMode: "default" }, true],
  ["web-ssh", ofAnother, false],
  ["web-ssh", unlabelled, true],
  ["web-ssh", { ...unlabelled, networkMode: `container:${webBase.name}` }, true],
  ["web-ssh", { ...unlabelled, networkMode: "container:another" }, false],
  ["web-ssh", { ...unlabelled, networkMode: "" }, false],
];
Deno.test("isOurContainer() uses the label, or else the attachment", () => {
  for (const [name, change, isOurs] of cases) {
    const planned = plannedContainer(name);
    const actual = { ...madeContainer(planned), ...change };
    const label = `${name} ${JSON.stringify(change)}`;
    assert.equal(isOurContainer(planned, actual, { base: webBase, id }), isOurs, label);
  }
});

Deno.test("isOurContainer() rejects a service without label and base", () => {
  const planned = plannedContainer("web-ssh");
  const around = { base: undefined, id };
  assert.equal(isOurContainer(planned, madeContainer(planned), around), true);
  assert.equal(
    isOurContainer(planned, { ...madeContainer(planned), ...unlabelled }, around),
    false,
  );
});
