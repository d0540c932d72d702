import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { FakeEngine } from "../../tests/support/engine/fake_engine.ts";
import { TemporaryFolder } from "../../tests/support/environment.ts";
import { binary } from "../../tests/support/executable.ts";

const root = new URL("../../", import.meta.url).pathname;
const readme = await Deno.readTextFile(new URL("./README.md", import.meta.url));
const blocks = [...readme.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block]) => block!);

function freePorts(): number[] {
  const listeners = [0, 0, 0].map((port) => Deno.listen({ hostname: "127.0.0.1", port }));
  const ports = listeners.map(({ addr }) => (addr as Deno.NetAddr).port);
  listeners.forEach((listener) => listener.close());
  return ports;
}

/** The README's own words, but for ports, which others may have taken, and the agent's pace. */
function scriptOf([port, pagePort, apiPort]: number[]): string {
  const [folder, certificates, enrol, serve, agent, push] = blocks as [string, ...string[]];
  assert.equal(blocks.length, 6);
  assert.equal(serve, "deno run -NRW master.ts\n");
  return [
    "set -eu",
    `cd "$SCRATCH"; mkdir -p examples; cp -r ${root}examples/master examples`,
    ...[folder, certificates, enrol!.replace("8765", `${apiPort}`)],
    `${serve.trim()} --port=${port} --page-port=${pagePort} --interval=5 --margin=0 & master=$!`,
    `trap 'kill $master $agent 2>/dev/null || true; wait' EXIT; agent=`,
    `until curl -sf http://127.0.0.1:${pagePort}/ >/dev/null; do sleep 0.1; done`,
    `${
      agent!.trim().replace("8765", `${apiPort}`)
    } --swarmctl-port=${port} --interval=5s & agent=$!`,
    `cp ${root}tests/data/topology-one-lan.json topology.json`,
    `until curl -s http://127.0.0.1:${pagePort}/ | grep -q 'on time'; do sleep 0.1; done`,
    push,
    `until curl -s http://127.0.0.1:${pagePort}/ | grep -q '1 consistent'; do sleep 0.1; done`,
    `echo "seen: consistent"`,
    "read _", // Until the test is done with it.
    "kill -KILL $agent; wait $agent || true",
    `until curl -s http://127.0.0.1:${pagePort}/ | grep -q '1 late'; do sleep 0.1; done`,
    `echo "seen: late"`,
  ].join("\n");
}

Deno.test("the commands of the example master's README work", async () => {
  using folder = new TemporaryFolder();
  await using engine = await FakeEngine.start(`${folder.path}/docker.sock`);
  engine.images = ["debian:bookworm-slim", "decnet/ssh:latest"];
  const ports = freePorts();
  const programs = `${folder.path}/bin`;
  Deno.mkdirSync(programs);
  Deno.symlinkSync(binary, `${programs}/decnet-agent`);
  Deno.symlinkSync(Deno.execPath(), `${programs}/deno`);
  const shell = new Deno.Command("bash", {
    args: ["-c", scriptOf(ports)],
    env: {
      PATH: `${programs}:${Deno.env.get("PATH")}`,
      SCRATCH: folder.path,
      DOCKER_HOST: `unix://${engine.socketPath}`,
      NO_COLOR: "1",
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stderr = new Response(shell.stderr).text();
  const deadline = setTimeout(() => shell.kill("SIGTERM"), 120_000);
  const input = shell.stdin.getWriter();
  let [stdout, stoppedAt] = ["", 0];
  const page = async () => await (await fetch(`http://127.0.0.1:${ports[1]}/`)).text();
  for await (const part of shell.stdout.pipeThrough(new TextDecoderStream())) {
    stdout += part;
    if (stoppedAt || !stdout.includes("seen: consistent")) continue;
    stoppedAt = performance.now();
    engine.containers = engine.containers.map((it) => ({ ...it, State: "exited" }));
    while (!(await page()).includes("stopped: container")) {
      assert.ok(performance.now() - stoppedAt < 30_000, "no drift is shown");
      await delay(50);
    }
    await input.write(new TextEncoder().encode("\n"));
    await input.close();
  }
  assert.equal((await shell.status).code, 0, stdout + await stderr);
  clearTimeout(deadline);
  assert.match(stdout, /^applied$/m);
  assert.match(stdout, /seen: late/);
  assert.ok(
    stdout.includes(`receives heartbeats on port ${ports[0]}; the page is http://127.0.0.1:`),
  );
});
