import assert from "node:assert/strict";
import { execute, Host, spawn } from "./host.ts";

/** How often it is tried: who comes first is up to chance. */
const rounds = 20;
const document = new URL("../data/topology-one-lan.json", import.meta.url).pathname;

Deno.test("decnet-agent started twice at once runs once, and the other names it and ends with 3", async () => {
  await using host = await Host.create();
  await host.startEngine();
  for (let round = 0; round < rounds; round++) {
    const both = [0, 1].map(() => spawn(["--interval=5s", ...host.flags()]));
    const outputs = both.map((it) => it.output());
    const loser = await Promise.race(outputs.map(async (it, index) => {
      await it;
      return index;
    }));
    const { code, stderr } = await outputs[loser]!;
    both[1 - loser]!.kill("SIGTERM");
    const winner = await outputs[1 - loser]!;
    const text = new TextDecoder().decode(stderr);
    assert.equal(code, 3, text);
    const pattern = /held by process (\d+) since (\S+Z) for the loop; stop that one first\n$/;
    const [, pid, since = ""] = pattern.exec(text) ?? [];
    assert.equal(Number(pid), both[1 - loser]!.pid, text);
    assert.ok(Math.abs(Date.parse(since) - Date.now()) < 60_000, text);
    assert.equal(winner.code, 0, new TextDecoder().decode(winner.stderr));
  }
});

Deno.test("decnet-agent --once run many times at once answers each time", async () => {
  await using host = await Host.create();
  await host.startEngine();
  const { master } = await host.startMaster();
  const args = ["--once", ...host.flags(master)];
  for (let round = 0; round < 5; round++) {
    for (const { code, stdout } of await Promise.all([0, 1, 2, 3].map(() => execute(args)))) {
      assert.equal(code, 0, stdout);
      assert.match(stdout, /^DECNET OK - idle, .* beat delivered \| .*\n$/);
    }
  }
  assert.equal(master.beatCount, 20);
});

Deno.test("decnet-agent apply run twice at once makes everything once", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.latencyMs = 20;
  engine.images = ["debian:bookworm-slim", "decnet/ssh:latest"];
  const text = await Deno.readTextFile(document);
  // A subnet that is kept for tests: on any other, the machine itself might have an address.
  const file = `${host.socket}.json`;
  await Deno.writeTextFile(file, text.replaceAll('"10.0.0.', '"198.19.0.'));
  const args = ["apply", file, "--json", ...host.flags()];
  const both = await Promise.all([execute(args), execute(args)]);
  const changes = both.map(({ code, stdout, stderr }) => {
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout).changes as number;
  });
  assert.deepEqual(changes.sort(), [0, 3]);
  assert.equal(engine.containers.length, 2);
  const waiting = both.filter(({ stderr }) => stderr.includes("waiting: another apply"));
  assert.equal(waiting.length, 1, both.map(({ stderr }) => stderr).join());
  assert.match(waiting[0]!.stderr, /by process \d+ since \S+Z for apply 11111111-/);
});
