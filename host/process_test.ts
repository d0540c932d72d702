import assert from "node:assert/strict";
import { interfaceAddresses } from "./process.ts";

Deno.test("interfaceAddresses() lists interfaces without bridges of engines", () => {
  const all = interfaceAddresses();
  assert.ok(all.some((it) => it.interface === "lo" && it.address === "127.0.0.1"));
  for (const { interface: name, address } of all) {
    assert.match(address, /^\d+\.\d+\.\d+\.\d+$/);
    assert.doesNotMatch(name, /^(docker\d|br-[0-9a-f]{12}$|podman\d)/);
  }
});
