import assert from "node:assert/strict";
import { interfaceAddresses } from "./process.ts";

Deno.test("interfaceAddresses() lists interfaces without bridges of engines", () => {
  const all = interfaceAddresses();
  assert.ok(all.some((it) => it.interface === "lo" && it.cidr === "127.0.0.1/8"));
  for (const { interface: name, cidr } of all) {
    assert.match(cidr, /^\d+\.\d+\.\d+\.\d+\/\d+$/);
    assert.doesNotMatch(name, /^(docker\d|br-[0-9a-f]{12}$|podman\d)/);
  }
});
