import assert from "node:assert/strict";
import {
  asApplied,
  bridge,
  changesOf,
  full,
  id,
  inventory,
  ofAnother,
  type Otherwise,
  relabelled,
  remade,
  unlabelled,
} from "../../tests/sample_plan.ts";
import { parseAddress } from "../address.ts";
import { addressesOutside, type HostAddress } from "./network_changes.ts";
import { type NetworkFact, specLabel, topologyLabel } from "../inventory.ts";

const dmz = asApplied.networks.find(({ name }) => name === full("dmz"))!;

/** The lines that make the network `dmz` anew, and with it those who are attached to it. */
function dmzRemade(reason: string): string[] {
  return [
    `remove network dmz: ${reason}`,
    `create network dmz: ${reason}`,
    ...remade({
      web: `network ${full("dmz")} is made anew`,
      "web-http": "its base is made anew",
      "web-ssh": "its base is made anew",
    }),
  ];
}

Deno.test("findChanges() leaves networks alone that are as planned", () => {
  const cases: Otherwise[] = [
    {},
    { dmz: relabelled("dmz", { [specLabel]: null }) },
    { dmz: relabelled("dmz", { "some.other.label": "x" }) },
    // Another program has made it for the same topology.
    { dmz: unlabelled },
  ];
  for (const otherwise of cases) assert.deepEqual(changesOf(inventory(otherwise)), []);
});

Deno.test("findChanges() makes networks anew that are otherwise, and who is attached to them", () => {
  const cases: [change: Partial<NetworkFact>, reason: string][] = [
    [{ driver: "macvlan" }, "driver macvlan, not bridge"],
    [{ subnets: ["10.1.1.0/24"] }, "subnet 10.1.1.0/24, not 10.1.0.0/24"],
    [{ subnets: ["10.1.0.0/24", "fd00::/64"] }, "subnet 10.1.0.0/24 fd00::/64, not 10.1.0.0/24"],
    [{ subnets: [] }, "subnet none, not 10.1.0.0/24"],
    [{ internal: true }, "internal"],
    [{ internal: true, ...unlabelled }, "internal"],
    [relabelled("dmz", { [specLabel]: "x" }), "made from another specification"],
  ];
  for (const [change, reason] of cases) {
    assert.deepEqual(changesOf(inventory({ dmz: change })), dmzRemade(reason));
  }
  assert.equal(
    changesOf(inventory({ inner: { internal: false } }))[0],
    "remove network inner: not internal",
  );
});

Deno.test("findChanges() creates networks that are missing, and makes anew who was attached", () => {
  // The engine removes no network with running containers: these were stopped, and are in ruins.
  const [, ...lines] = dmzRemade("missing");
  assert.deepEqual(changesOf(inventory({ dmz: null })), lines);
  assert.deepEqual(changesOf(inventory({ dmz: null, web: { state: "exited" } })), lines);
});

Deno.test("findChanges() makes one network of several that bear its name", () => {
  const second = { ...dmz, id: "second" };
  const reason = "one of several of its name";
  const [removal = "", ...others] = dmzRemade(reason);
  for (const change of [{}, { subnets: ["10.1.1.0/24"] }, relabelled("dmz", { x: "y" })]) {
    const found = changesOf(inventory({}, { networks: [{ ...second, ...change }] }));
    assert.deepEqual(found, [removal, removal, ...others]);
  }
  // To which of them a container is attached cannot be told, and so none of them can be kept.
  const three = inventory({}, { networks: [second, { ...second, id: "third" }] });
  assert.deepEqual(changesOf(three), [removal, removal, removal, ...others]);
});

Deno.test("findChanges() does not touch a foreign network with a planned name", () => {
  const cases: [change: Partial<NetworkFact>, what: string][] = [
    [ofAnother, "driver bridge, 10.1.0.0/24, of topology another"],
    [{ ...ofAnother, driver: "macvlan" }, "driver macvlan, 10.1.0.0/24, of topology another"],
    [
      { labels: new Map([[topologyLabel, `${id}x`]]) },
      `driver bridge, 10.1.0.0/24, of topology ${id}x`,
    ],
    [{ ...unlabelled, driver: "macvlan" }, "driver macvlan, 10.1.0.0/24"],
    [{ ...unlabelled, subnets: ["10.1.0.1/24"] }, "driver bridge, 10.1.0.1/24"],
    [{ ...unlabelled, subnets: [] }, "driver bridge"],
    [
      { ...unlabelled, subnets: ["10.1.0.0/24", "10.3.0.0/24"] },
      "driver bridge, 10.1.0.0/24 10.3.0.0/24",
    ],
  ];
  for (const [change, what] of cases) {
    const obstacle = `obstacle: network dmz exists and is not of this topology (${what})`;
    const instead = changesOf(inventory({ dmz: change }));
    assert.ok(!instead.some((line) => line.startsWith("remove network")), instead.join("\n"));
    assert.deepEqual(instead.filter((line) => line.startsWith("obstacle")), [obstacle]);
    const beside = inventory({}, { networks: [{ ...dmz, id: "second", ...change }] });
    assert.deepEqual(changesOf(beside), [obstacle]);
  }
});

Deno.test("findChanges() tells by whom a subnet is taken", () => {
  const cases: [subnets: string[], taken: string | null][] = [
    [["10.1.0.0/24"], "10.1.0.0/24"],
    [["10.0.0.0/8"], "10.0.0.0/8"],
    [["10.1.0.255/32"], "10.1.0.255/32"],
    [["10.1.0.77/24"], "10.1.0.77/24"],
    [["10.3.0.0/24", "10.1.0.128/25"], "10.1.0.128/25"],
    [["10.0.255.0/24"], null],
    [["10.1.1.0/24"], null],
    [["fd00::/64"], null],
    [[""], null],
    [[], null],
  ];
  for (const [subnets, taken] of cases) {
    const other = { ...bridge, id: "other", name: "other", subnets };
    const found = changesOf(inventory({ dmz: null }, { networks: [other] }));
    const obstacle = `obstacle: subnet 10.1.0.0/24 of dmz is taken by network other (${taken})`;
    assert.deepEqual(found.filter((it) => it.startsWith("obstacle")), taken ? [obstacle] : []);
    // Who has a network already shares it with nobody, whatever else is told.
    assert.deepEqual(changesOf(inventory({}, { networks: [other] })), []);
  }
});

Deno.test("findChanges() takes the subnet of a network that goes", () => {
  const old = { ...dmz, id: "old", name: full("old"), ...relabelled("dmz", { [specLabel]: "x" }) };
  const found = changesOf(inventory({ dmz: null }, { networks: [old] }));
  assert.equal(found[0], "remove network old: no longer wanted");
  assert.equal(found[1], "create network dmz: missing");
  assert.ok(!found.some((line) => line.startsWith("obstacle")), found.join("\n"));
});

/** These addresses, of an interface each. */
function interfaces(...addresses: string[]): HostAddress[] {
  return addresses.map((text, index) => ({
    interface: `eth${index}`,
    address: parseAddress(text)!,
  }));
}

Deno.test("findChanges() does not take the subnet that this host itself is in", () => {
  const obstaclesOf = (otherwise: Otherwise, address: string) =>
    changesOf(inventory(otherwise), { hostAddresses: interfaces("192.168.0.1", address) })
      .filter((it) => it.startsWith("obstacle"));
  const obstacle = "obstacle: subnet 10.1.0.0/24 of dmz holds an address of this host's " +
    "interface eth1";
  for (const address of ["10.1.0.0", "10.1.0.7", "10.1.0.255"]) {
    assert.deepEqual(obstaclesOf({ dmz: null }, address), [obstacle]);
    assert.deepEqual(obstaclesOf({ dmz: { internal: true } }, address), [obstacle]);
    // Where the network is, it is too late.
    assert.deepEqual(obstaclesOf({}, address), []);
  }
  for (const address of ["10.0.255.255", "10.1.1.0"]) {
    assert.deepEqual(obstaclesOf({ dmz: null }, address), []);
  }
});

Deno.test("addressesOutside() drops those that the host has in Docker's networks", () => {
  const cases: [subnets: string[], isOutside: boolean][] = [
    [["10.1.0.0/24"], false],
    [["10.1.0.9/16"], false],
    [["10.3.0.0/24", "10.1.0.1/32"], false],
    [["10.1.1.0/24"], true],
    [["fd00::/64"], true],
    [[""], true],
    [[], true],
  ];
  const [gateway, other] = interfaces("10.1.0.1", "192.168.0.1") as [HostAddress, HostAddress];
  for (const [subnets, isOutside] of cases) {
    const found = addressesOutside([bridge, { ...dmz, subnets }], [gateway, other]);
    assert.deepEqual(found, isOutside ? [gateway, other] : [other]);
  }
  assert.deepEqual(addressesOutside([], [gateway]), [gateway]);
});

Deno.test("findChanges() says once of each network what is in its way", () => {
  const other = { ...bridge, id: "other", name: "other", subnets: ["10.0.0.0/8"] };
  const networks = [other, { ...other, name: "more" }];
  const found = changesOf(inventory({ dmz: null, inner: null }, { networks }), {
    hostAddresses: interfaces("10.1.0.7", "10.1.0.8"),
  });
  assert.deepEqual(found.filter((it) => it.startsWith("obstacle")), [
    "obstacle: subnet 10.1.0.0/24 of dmz is taken by network other (10.0.0.0/8)",
    "obstacle: subnet 10.2.0.0/24 of inner is taken by network other (10.0.0.0/8)",
  ]);
});

Deno.test("findChanges() removes networks that have its label and are no longer wanted", () => {
  const named = (name: string, labels: NetworkFact["labels"]) =>
    inventory({}, { networks: [{ ...bridge, id: "more", name, subnets: [], labels }] });
  const { labels } = dmz;
  assert.deepEqual(changesOf(named(full("old"), labels)), ["remove network old: no longer wanted"]);
  assert.deepEqual(changesOf(named("any", labels)), ["remove network any: no longer wanted"]);
  assert.deepEqual(changesOf(named(full("old"), ofAnother.labels)), []);
  assert.deepEqual(changesOf(named(full("old"), new Map())), []);
});
