import assert from "node:assert/strict";
import { overlap, readAddress, readSubnet, showAddress } from "./subnets.ts";

Deno.test("readSubnet() reads what the engine takes for a subnet", () => {
  const cases: [string, string | undefined][] = [
    ["10.0.0.0/24", "10.0.0.0-10.0.0.255"],
    ["10.0.0.77/30", "10.0.0.76-10.0.0.79"],
    ["0.0.0.0/0", "0.0.0.0-255.255.255.255"],
    ["255.255.255.255/32", "255.255.255.255-255.255.255.255"],
    ["10.0.0.0/33", undefined],
    ["10.0.0/24", undefined],
    ["10.0.0.256/24", undefined],
    ["10.0.0.0", undefined],
    ["", undefined],
  ];
  for (const [text, expected] of cases) {
    const subnet = readSubnet(text);
    const range = subnet && `${showAddress(subnet.first)}-${showAddress(subnet.last)}`;
    assert.equal(range, expected, text);
  }
  assert.equal(readAddress("1.2.3.04"), undefined);
});

Deno.test("overlap() sees whether two subnets share an address", () => {
  const read = (text: string) => readSubnet(text)!;
  assert.ok(overlap(read("10.0.0.0/24"), read("10.0.0.128/25")));
  assert.ok(overlap(read("10.0.0.128/25"), read("10.0.0.0/24")));
  assert.ok(!overlap(read("10.0.0.0/25"), read("10.0.0.128/25")));
});
