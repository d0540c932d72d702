import assert from "node:assert/strict";
import { requirement } from "../requirements.ts";
import { execute, Host } from "./host.ts";
import { ListeningHost } from "./listening_host.ts";
import { RunningAgent } from "./running_agent.ts";
import { works } from "./works.ts";

const prlimit = requirement("prlimit", await works("prlimit", "--nofile", "true"));

/** Lets a process have so many file descriptors from now on; those that it has stay open. */
async function limit({ pid }: RunningAgent, descriptors: number): Promise<void> {
  const args = ["--pid", String(pid), `--nofile=${descriptors}:`];
  assert.ok((await new Deno.Command("prlimit", { args }).output()).success);
}

function limited(descriptors: number): string[] {
  return ["sh", "-c", `ulimit -n ${descriptors}; exec timeout -s KILL 20 "$0" "$@"`];
}

Deno.test("decnet-agent --once needs no more than 24 file descriptors, with a master", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  const { code, stdout } = await execute(["--once", ...host.flags(master)], {
    wrapper: limited(24),
  });
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^DECNET OK - .*, beat delivered \|/);
});

Deno.test("decnet-agent --once tells within 10 s that there are no file descriptors left", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  const told: string[] = [];
  // What the runtime takes for itself, about; at times it has one more or less open.
  for (const descriptors of [13, 12, 11, 12, 11, 12]) {
    const wrapper = limited(descriptors);
    const ended = await execute(["--once", ...host.flags(master)], { wrapper });
    assert.ok([0, 1, 2, 3, 134].includes(ended.code), JSON.stringify(ended));
    assert.ok(ended.elapsedMs < 10_000, `${ended.elapsedMs} ms`);
    if ([1, 2, 3].includes(ended.code)) told.push(ended.stdout);
  }
  assert.ok(told.length > 0, "none ran out of descriptors in the agent");
  for (const text of told) {
    assert.match(text, /^DECNET (WARNING|CRITICAL|UNKNOWN) - /);
    assert.match(text, /too many open files/i);
  }
});

Deno.test("decnet-agent --once: the runtime panics before the agent where it gets 10 file descriptors", async () => {
  await using host = await Host.create();
  const { code, stdout, stderr } = await execute(["--once", ...host.flags()], {
    wrapper: limited(10),
  });
  // SIGABRT. There is nothing that the agent could do; docs quote this.
  assert.equal(code, 134);
  assert.equal(stdout, "");
  assert.match(stderr, /^\nthread 'main' \(\d+\) panicked at .*\n.*message: "Too many open files"/);
});

Deno.test({
  name: `decnet-agent beats on without file descriptors, and recovers${prlimit.suffix}`,
  ignore: prlimit.ignore,
  fn: async () => {
    prlimit.check();
    await using host = await Host.create();
    await host.startEngine();
    const { master } = await host.startMaster();
    await using agent = new RunningAgent(["--interval=5s", ...host.flags(master)]);
    const observed = () => {
      const { body } = master.beats.at(-1)!;
      return (body as { topology: { observed: { error?: string } } }).topology.observed;
    };
    await agent.until(() => master.beatCount >= 1);
    assert.equal(observed().error, undefined);

    await limit(agent, 3);
    const before = master.beatCount;
    await agent.until(() => master.beatCount > before && observed().error !== undefined);
    assert.match(observed().error!, /^Cannot observe Docker at .*Too many open files/);

    await limit(agent, 1024);
    await agent.until(() => observed().error === undefined);
    assert.equal(master.connectionCount, 1);
    const { code, stderr } = await agent.stop();
    assert.equal(code, 0);
    const lines = stderr.split("\n").filter((line) =>
      /subject=certificates|are in order/.test(line)
    );
    assert.match(lines[0]!, /ca\.crt: too many open files" subject=certificates$/);
    assert.match(lines[1]!, /msg="the certificates are in order again"$/);
    assert.match(stderr, /msg="Docker answers again"/);
  },
});

Deno.test({
  name: `decnet-agent listens again when it has file descriptors again${prlimit.suffix}`,
  ignore: prlimit.ignore,
  fn: async () => {
    prlimit.check();
    await using setup = await ListeningHost.create();
    await setup.host.startEngine();
    await using agent = new RunningAgent(setup.flags);
    const listening = () => agent.stderr.split("msg=listening").length - 1;
    await agent.until(() => listening() === 1);
    assert.equal((await setup.call("/health")).status, 200);

    await limit(agent, 3);
    // The one that the runtime cannot accept, after which it accepts no other.
    const unheard = setup.call("/health").then(() => "heard", () => "unheard");
    await agent.until(() => agent.stderr.includes("no file descriptors are left"));
    await limit(agent, 1024);
    await agent.until(() => listening() === 2);
    assert.equal((await setup.call("/health")).status, 200);
    assert.equal(await unheard, "unheard");
    assert.equal((await agent.stop()).code, 0);
  },
});

Deno.test({
  name: `decnet-agent says each time why its API is off, also for the same reason${prlimit.suffix}`,
  ignore: prlimit.ignore,
  fn: async () => {
    prlimit.check();
    await using setup = await ListeningHost.create();
    await setup.host.startEngine();
    await using agent = new RunningAgent(setup.flags);
    const lines = (text: string) =>
      agent.stderr.split("\n").filter((line) => line.includes(text)).length;
    for (const episode of [1, 2]) {
      await agent.until(() => lines("msg=listening") === episode);
      assert.equal((await setup.call("/health")).status, 200);
      await limit(agent, 3);
      // The one that the runtime cannot accept, after which it accepts no other.
      const unheard = setup.call("/health").then(() => "heard", () => "unheard");
      await agent.until(() => lines("level=error") === episode);
      await limit(agent, 1024);
      assert.equal(await unheard, "unheard");
    }
    await agent.until(() => lines("msg=listening") === 3);
    const { code, stderr } = await agent.stop();
    assert.equal(code, 0);
    const [first, second] = stderr.split("\n").filter((line) => line.includes("level=error"));
    assert.equal(first, second);
  },
});
