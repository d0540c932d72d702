import assert from "node:assert/strict";
import { lan, network, toldOf } from "../tests/sample_inventory.ts";
import { type NetworkFact, topologyLabel } from "./inventory.ts";

const stranger: NetworkFact = {
  ...network,
  id: "0".repeat(64),
  subnets: ["10.9.0.0/24"],
  labels: new Map(),
};
const ofAnother: NetworkFact = {
  ...stranger,
  id: "f".repeat(64),
  subnets: ["10.8.0.0/24"],
  labels: new Map([[topologyLabel, "another"]]),
};

Deno.test("findDrift() takes of networks with one name the one that is as planned, in whatever order they come", () => {
  for (const networks of [[network, stranger], [stranger, network]]) {
    assert.deepEqual(toldOf({ networks }), [`unexpected network ${lan}`]);
  }
});

Deno.test("findDrift() takes of networks with one name ours when none is as planned", () => {
  const changed = { ...network, internal: true };
  for (const networks of [[changed, stranger], [stranger, changed]]) {
    assert.deepEqual(toldOf({ networks }), [
      `changed network ${lan}: internal`,
      `unexpected network ${lan}`,
    ]);
  }
});

Deno.test("findDrift() tells the same of networks with one name, in whatever order they come", () => {
  const orders = [
    [network, stranger, ofAnother],
    [ofAnother, stranger, network],
    [stranger, network, ofAnother],
  ];
  for (const order of orders) {
    assert.deepEqual(toldOf({ networks: order }), [
      `unexpected network ${lan}`,
      `unexpected network ${lan}: of topology another`,
    ]);
    const strangers = order.filter((it) => it !== network);
    assert.deepEqual(toldOf({ networks: strangers }), [
      `changed network ${lan}: subnet 10.9.0.0/24, not 10.0.0.0/24`,
      `unexpected network ${lan}: of topology another`,
    ]);
  }
});
