import assert from "node:assert/strict";
import {
  asApplied,
  base,
  lan,
  plan,
  service,
  told,
  withBase,
  withNetwork,
  withService,
} from "../tests/sample_inventory.ts";
import { findDrift } from "./drift.ts";
import { type NetworkFact, topologyLabel } from "./inventory.ts";

Deno.test("findDrift() finds objects with our names that are of another topology", () => {
  // The names bear the first eight characters of the id only.
  const id = "11111111-9999-9999-9999-999999999999";
  const foreign = { labels: new Map([[topologyLabel, id]]) };
  assert.deepEqual(withNetwork(foreign), [`changed network ${lan}: of topology ${id}`]);
  assert.deepEqual(withBase(foreign), [`changed container ${base}: of topology ${id}`]);
  assert.deepEqual(withService(foreign), [`changed container ${service}: of topology ${id}`]);
  // Whose it is comes before what is wrong with it; that it does not run comes first.
  assert.deepEqual(withNetwork({ ...foreign, driver: "macvlan" }), [
    `changed network ${lan}: of topology ${id}`,
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
