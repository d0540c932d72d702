import assert from "node:assert/strict";
import { parseJson, versionHash } from "../../topology/mod.ts";
import { ListeningHost } from "./listening_host.ts";
import { MemoryGroup, memoryGroups } from "./memory_group.ts";
import { RunningAgent } from "./running_agent.ts";

/** What packaging/decnet-agent.service grants, in MiB. */
const granted = 640;

/** The body of a push of a topology without anything in it, but for this. */
async function pushOf(padding: string): Promise<string> {
  const topology = `"topology":{"id":"large"},"lans":[],"deckies":[],"edges":[]`;
  const document = `{${topology},"padding":${padding}}`;
  const hash = await versionHash(parseJson(document));
  return `{"hydrated":${document},"version_hash":"${hash}"}`;
}

Deno.test({
  name:
    "decnet-agent takes the largest documents one after another in the memory of its unit, and " +
    `starts with one stored${memoryGroups.suffix}`,
  ignore: memoryGroups.ignore,
  async fn() {
    memoryGroups.check();
    await using setup = await ListeningHost.create();
    await setup.host.startEngine();
    const bodies = [
      // The text that grows most when it is stored, and what takes most memory when it is read.
      await pushOf(JSON.stringify("é".repeat(4_150_000))),
      await pushOf(`[${Array(170_000).fill('{"k000000":1.5}').join(",")}]`),
    ];
    using group = new MemoryGroup(granted);
    {
      await using agent = new RunningAgent(setup.flags, group);
      await agent.until(() => agent.stderr.includes("msg=listening"));
      for (const body of [...bodies, ...bodies, ...bodies, ...bodies, bodies[0]!]) {
        const { status } = await setup.call("/topology/apply", { method: "POST", body });
        assert.equal(status, 200);
      }
      assert.equal((await agent.stop()).code, 0);
    }
    await using agent = new RunningAgent(setup.flags, group);
    const before = setup.master.beatCount;
    await agent.until(() => setup.master.beatCount >= before + 3);
    assert.equal((await agent.stop()).code, 0);
  },
});
