import assert from "node:assert/strict";
import { requirement } from "../requirements.ts";
import { ListeningHost } from "./listening_host.ts";
import { RunningAgent } from "./running_agent.ts";
import { works } from "./works.ts";

const prlimit = requirement("prlimit", await works("prlimit", "--nofile", "true"));

Deno.test({
  name: `decnet-agent says each time why its API is off, also for the same reason${prlimit.suffix}`,
  ignore: prlimit.ignore,
  fn: async () => {
    prlimit.check();
    await using setup = await ListeningHost.create();
    await setup.host.startEngine();
    await using agent = new RunningAgent(setup.flags);
    const limit = (descriptors: number) =>
      works("prlimit", "--pid", String(agent.pid), `--nofile=${descriptors}:`);
    const lines = (text: string) =>
      agent.stderr.split("\n").filter((line) => line.includes(text)).length;
    for (const episode of [1, 2]) {
      await agent.until(() => lines("msg=listening") === episode);
      assert.equal((await setup.call("/health")).status, 200);
      await limit(3);
      // The one that the runtime cannot accept, after which it accepts no other.
      const unheard = setup.call("/health").then(() => "heard", () => "unheard");
      await agent.until(() => lines("level=error") === episode);
      await limit(1024);
      assert.equal(await unheard, "unheard");
    }
    await agent.until(() => lines("msg=listening") === 3);
    const { code, stderr } = await agent.stop();
    assert.equal(code, 0);
    const [first, second] = stderr.split("\n").filter((line) => line.includes("level=error"));
    assert.equal(first, second);
  },
});
