import assert from "node:assert/strict";
import { drawRecovery, drawStart } from "./pictures.ts";

const fleet = { hosts: 10_000, seed: 1 };

for (const [name, draw] of [["start", drawStart], ["recovery", drawRecovery]] as const) {
  Deno.test(`docs/pictures/fleet-${name}.svg shows the agent's schedule as it is`, () => {
    const file = new URL(`../../docs/pictures/fleet-${name}.svg`, import.meta.url);
    assert.ok(Deno.readTextFileSync(file) === draw(fleet), "run deno task bench:fleet");
  });
}
