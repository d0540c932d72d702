import assert from "node:assert/strict";
import {
  contains,
  formatAddress,
  overlaps,
  parseAddress,
  parseCidr,
  rangeOf,
  subnetOf,
} from "./address.ts";

const addresses: [text: string, address: number][] = [
  ["0.0.0.0", 0],
  ["0.0.1.0", 256],
  ["10.77.1.2", 0x0a4d0102],
  ["127.255.255.255", 0x7fffffff],
  ["128.0.0.0", 0x80000000],
  ["255.255.255.255", 0xffffffff],
];

Deno.test("parseAddress() reads dotted quads", () => {
  for (const [text, address] of addresses) assert.equal(parseAddress(text), address, text);
});

Deno.test("formatAddress() writes what parseAddress() read", () => {
  for (const [text, address] of addresses) assert.equal(formatAddress(address), text);
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
    "",
    "/",
    "/24",
    "10.0.0.0",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/024",
    "10.0.0.0/08",
    "10.0.0.0/-1",
    "10.0.0.0/8.0",
    "10.0.0.0/255.0.0.0",
    "010.0.0.0/8",
    "10.0.0/8",
    "10.0.0.0/8 ",
    "10.0.0.0 /8",
    "10.0.0.0/8\n",
    "10.0.0.0//8",
    "fd00::/8",
    "1".repeat(8 << 20),
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
