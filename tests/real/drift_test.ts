import assert from "node:assert/strict";
import type { Difference } from "../../topology/mod.ts";
import { changes, type Expected } from "./changes.ts";
import { Playground } from "./playground.ts";
import { dockerSocket, needsDocker } from "./sockets.ts";
import { ThreeLans } from "./three_lans.ts";
import { eventually } from "./waiting.ts";

const docker = await needsDocker();

Deno.test({
  name: `findDrift() tells what has changed in a real engine${docker.suffix}`,
  ignore: docker.ignore,
  async fn(t) {
    docker.check();
    await using playground = await Playground.open(dockerSocket);
    const lans = await ThreeLans.open(playground);
    await t.step("finds what was made as planned consistent", async () => {
      await lans.build();
      await assertDrift(lans, {});
    });
    for (const { name, make, expected, repair } of changes(playground, lans)) {
      await t.step(`finds ${name}`, async () => {
        await make();
        await assertDrift(lans, expected);
        await repair();
        await assertDrift(lans, {});
      });
    }
    await t.step("finds everything unexpected on an idle host", async () => {
      const { unexpected, ...others } = await lans.drift(null);
      assert.deepEqual(others, {
        state: "drifted",
        missing: [],
        stopped: [],
        unhealthy: [],
        changed: [],
      });
      const { networks, containers } = lans.plan;
      const names = [...networks, ...containers].map((it) => it.name);
      assert.deepEqual(unexpected.map((it) => it.name), names.sort());
    });
  },
});

/** The differences are those expected and no other; health and restarts take their time. */
async function assertDrift(lans: ThreeLans, expected: Expected): Promise<void> {
  const wanted = Object.fromEntries(
    (["missing", "stopped", "unhealthy", "changed", "unexpected"] as const).map((kind) => {
      const differences = (expected[kind] ?? []).map(([name, detail]): Difference => ({
        type: /^(lan|net)-\d/.test(name) ? "network" : "container",
        name: lans.name(name),
        detail,
      }));
      return [kind, differences];
    }),
  );
  const state = Object.keys(expected).length === 0 ? "consistent" : "drifted";
  let drift: unknown;
  await eventually("the drift", async () => {
    drift = await lans.drift();
    return JSON.stringify(drift) === JSON.stringify({ state, ...wanted }) || undefined;
  }, 10_000).catch(() => assert.deepEqual(drift, { state, ...wanted }));
}
