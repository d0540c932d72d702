import assert from "node:assert/strict";
import { findFreeNetwork } from "./free_network.ts";

Deno.test("findFreeNetwork() passes over what has an address in common", () => {
  const cases: [taken: string[], random: number, expected: string][] = [
    [[], 0, "10.64"],
    [["10.64.2.0/24", "fe80::1/64", ""], 0, "10.65"],
    [["10.64.4.0/24"], 0, "10.64"],
    [["10.64.0.9/16", "10.65.3.255/32"], 0, "10.66"],
    [["10.0.0.0/8"], 0, "172.18"],
    [["192.168.0.0/16"], 0.9999, "10.64"],
  ];
  for (const [taken, random, expected] of cases) {
    assert.equal(findFreeNetwork(taken, random), expected, taken.join());
  }
  assert.throws(() => findFreeNetwork(["0.0.0.0/0"]), { message: /^no private network is free/ });
});
