import assert from "node:assert/strict";
import {
  bridge,
  full,
  imagesOf,
  inventory,
  networkOf,
  plan,
  relabelled,
} from "../tests/support/plan.ts";
import {
  contains,
  formatAddress,
  overlaps,
  parseAddress,
  parseCidr,
  rangeOf,
  reserveAddress,
  type ReservedRange,
  reserveInterface,
  subnetOf,
} from "./address.ts";
import { findChanges, findTakenSubnets } from "./changes.ts";
import { type NetworkInfo, specLabel } from "./inventory.ts";

const addresses: [text: string, address: number][] = [
  ["0.0.0.0", 0],
  ["0.0.1.0", 256],
  ["10.77.1.2", 0x0a4d0102],
  ["127.255.255.255", 0x7fffffff],
  ["128.0.0.0", 0x80000000],
  ["255.255.255.255", 0xffffffff],
];

Deno.test("parseAddress() reads dotted quads, and formatAddress() writes them", () => {
  for (const [text, address] of addresses) {
    assert.equal(parseAddress(text), address, text);
    assert.equal(formatAddress(address), text);
  }
});

Deno.test("parseAddress() rejects everything else", () => {
  const texts = [
    ..."10 10.0.0 10.0.0.0.0 10.0.0.256 10.0.0.1000 10.0.0.-1 10.0.0.+1 10.0.0.01".split(" "),
    ..."10.00.0.1 010.0.0.1 0x0a.0.0.1 10.0.0.1e0 10.0.0. .10.0.0.1 10..0.1".split(" "),
    ..."10.0.0.1/24 ١٠.0.0.1 ::1 ::ffff:10.0.0.1".split(" "),
    ...["", " 10.0.0.1", "10.0.0.1\n"],
  ];
  for (const text of texts) assert.equal(parseAddress(text), null, JSON.stringify(text));
});

Deno.test("rangeOf() reads subnets of every size, with bits behind the prefix", () => {
  const cases: [text: string, first: string, last: string][] = [
    ["0.0.0.0/0", "0.0.0.0", "255.255.255.255"],
    ["128.0.0.0/1", "128.0.0.0", "255.255.255.255"],
    ["192.0.0.0/1", "128.0.0.0", "255.255.255.255"],
    ["10.0.0.0/8", "10.0.0.0", "10.255.255.255"],
    ["10.77.1.0/24", "10.77.1.0", "10.77.1.255"],
    ["10.77.1.5/24", "10.77.1.0", "10.77.1.255"],
    ["10.77.1.248/29", "10.77.1.248", "10.77.1.255"],
    ["255.255.255.255/31", "255.255.255.254", "255.255.255.255"],
    ["255.255.255.255/32", "255.255.255.255", "255.255.255.255"],
  ];
  for (const [text, first, last] of cases) {
    const range = rangeOf(text);
    assert.deepEqual(range, subnetOf(parseCidr(text)!));
    assert.deepEqual([formatAddress(range.first), formatAddress(range.last)], [first, last]);
  }
});

Deno.test("parseCidr() rejects everything else, rangeOf() is empty then", () => {
  const texts = [
    ..."/ /24 10.0.0.0 10.0.0.0/ 10.0.0.0/33 10.0.0.0/024 10.0.0.0/08 10.0.0.0/-1".split(" "),
    ..."10.0.0.0/8.0 10.0.0.0/255.0.0.0 010.0.0.0/8 10.0.0/8 10.0.0.0//8 fd00::/8".split(" "),
    ...["", "10.0.0.0/8 ", "10.0.0.0 /8", "10.0.0.0/8\n", "1".repeat(8 << 20)],
  ];
  for (const text of texts) {
    assert.equal(parseCidr(text), null, JSON.stringify(text.slice(0, 30)));
    assert.ok(!overlaps(rangeOf(text), rangeOf("0.0.0.0/0")));
  }
});

Deno.test("overlaps() is true from one shared address on", () => {
  const cases: [a: string, b: string, expected: boolean][] = [
    ["10.0.0.0/24", "10.0.0.0/24", true],
    ["10.0.0.0/24", "10.0.0.255/32", true],
    ["10.0.0.0/8", "10.77.0.0/16", true],
    ["10.0.0.0/24", "10.0.1.0/24", false],
    ["10.0.0.0/25", "10.0.0.128/25", false],
    ["127.255.255.0/24", "128.0.0.0/24", false],
  ];
  for (const [a, b, expected] of cases) {
    const [first, second] = [rangeOf(a), rangeOf(b)];
    assert.equal(overlaps(first, second), expected, `${a} ${b}`);
    assert.equal(overlaps(second, first), expected, `${b} ${a}`);
    assert.equal(contains(first, second.first), expected, `${a} ${b}`);
  }
});

/** A foreign network with these subnets. */
function other(...subnets: string[]): NetworkInfo {
  return { ...bridge, id: "other", name: "other", subnets };
}

/** The obstacles when `dmz`, 10.1.0.0/24, must be created, after `subnet 10.1.0.0/24 of dmz `. */
function obstaclesOf(networks: readonly NetworkInfo[], reserved: readonly ReservedRange[] = []) {
  const existing = inventory({ dmz: null }, { networks });
  const { networks: changes } = findChanges(plan, existing, imagesOf(plan));
  return findTakenSubnets(changes, existing.networks, reserved)
    .map((it) => it.replace(`subnet 10.1.0.0/24 of ${full("dmz")} `, ""));
}

const choose = "choose another subnet";

Deno.test("findTakenSubnets() names the network that has a planned subnet", () => {
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
    const expected = taken === null
      ? []
      : [`is taken by network other (${taken}): remove it, or ${choose}`];
    assert.deepEqual(obstaclesOf([other(...subnets)]), expected);
    // What is there already, and right, is no obstacle.
    assert.deepEqual(findTakenSubnets([], [networkOf("dmz"), other(...subnets)], []), []);
  }
});

Deno.test("findTakenSubnets() frees the subnet of a bridge that is removed", () => {
  const old = { ...networkOf("dmz"), id: "old", name: full("old") };
  const removed = { ...old, ...relabelled("dmz", specLabel, "x") };
  assert.deepEqual(obstaclesOf([removed]), []);
  // The network outside stays there without it.
  for (const driver of ["macvlan", "ipvlan", "of-a-plugin"]) {
    const obstacle = `is taken by network ${full("old")} (10.1.0.0/24): remove it, or ${choose}`;
    assert.deepEqual(obstaclesOf([{ ...removed, driver }]), [obstacle]);
  }
});

Deno.test("reserveInterface() reserves the whole subnet of an address", () => {
  const cases: [cidr: string, isTaken: boolean][] = [
    ["10.1.0.5/24", true],
    // The LAN is a part of the host's network, and does not hold its own address.
    ["10.1.1.5/23", true],
    ["10.0.0.5/8", true],
    ["10.1.0.255/32", true],
    ["10.1.1.1/24", false],
    ["10.0.255.255/16", false],
    // Everything is on its link: that is no more than a default route.
    ["10.9.0.5/0", false],
    ["10.1.0.5/0", true],
    ["fd00::5/64", false],
    ["", false],
  ];
  for (const [cidr, isTaken] of cases) {
    const expected = isTaken ? [`overlaps ${cidr} of this host's interface eth0: ${choose}`] : [];
    assert.deepEqual(obstaclesOf([], reserveInterface("eth0", cidr)), expected, cidr);
    // A network around it hides nothing.
    const macvlan: NetworkInfo = {
      ...networkOf("dmz"),
      ...{ name: full("old"), driver: "macvlan", subnets: ["10.9.0.0/16"] },
    };
    assert.deepEqual(obstaclesOf([macvlan], reserveInterface("eth0", cidr)), expected, cidr);
  }
});

Deno.test("reserveAddress() takes IPv4, also mapped into IPv6, in each form", () => {
  const texts = ["10.1.0.7", "::ffff:10.1.0.7", "::FFFF:0a01:0007", "0:0:0:0:0:ffff:a01:7"];
  for (const text of texts) {
    const found = obstaclesOf([], reserveAddress(text, "holds the address of the master"));
    assert.deepEqual(found, [`holds the address of the master, 10.1.0.7: ${choose}`], text);
  }
  for (const text of ["10.1.1.7", "::ffff:10.1.1.7"]) {
    assert.deepEqual(obstaclesOf([], reserveAddress(text, "x")), [], text);
  }
  const others = ["", ..."::1 fe80::1%eth0 a01:7::ffff ::10.1.0.7 master.test ]@[ :".split(" ")];
  for (const text of others) assert.deepEqual(reserveAddress(text, "x"), [], text);
});

Deno.test("findTakenSubnets() reports one obstacle for each network", () => {
  const networks = [other("10.0.0.0/8"), { ...other("10.0.0.0/8"), name: "more" }];
  const reserved = [...reserveInterface("eth0", "10.1.0.7/24"), ...reserveAddress("10.1.0.8", "x")];
  const { networks: changes } = findChanges(plan, { networks, containers: [] }, imagesOf(plan));
  const conflict = `is taken by network other (10.0.0.0/8): remove it, or ${choose}`;
  const expected = [["10.1.0.0/24", full("dmz")], ["10.2.0.0/24", full("inner")]]
    .map(([subnet, name]) => `subnet ${subnet} of ${name} ${conflict}`);
  assert.deepEqual(findTakenSubnets(changes, networks, reserved), expected);
});
