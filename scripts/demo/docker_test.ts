import assert from "node:assert/strict";
import Docker from "dockerode";
import { dockerSocket, needsDocker } from "../../tests/engines/sockets.ts";
import {
  applies,
  assertReadable,
  assertSequence,
  interruptDemo,
  masterFails,
  noDriftOfOurs,
  runDemo,
  tearsDown,
} from "./running_demo.ts";

const docker = await needsDocker();
const ownEngine = { DOCKER_HOST: `unix://${dockerSocket}` };

/** Asserts that the engine has nothing left that belongs to the run of the demo that printed this. */
async function assertNothingLeft(stdout: string): Promise<void> {
  const [, tag = ""] = /all called decnet_t_(\w{8})_/.exec(stdout) ?? [];
  assert.notEqual(tag, "", stdout);
  const engine = new Docker({ socketPath: dockerSocket });
  const lists: object[][] = await Promise.all([
    engine.listNetworks(),
    engine.listContainers({ all: true }),
    engine.listImages({ all: true }),
  ]);
  assert.deepEqual(lists.flat().filter((it) => JSON.stringify(it).includes(tag)), []);
}

Deno.test(`demo --docker sees the host's own engine${docker.suffix}`, docker, async () => {
  docker.check();
  const { code, stdout, stderr } = await runDemo(["--docker"], ownEngine);
  assert.equal(code, 0, stderr);
  assertReadable(stdout);
  assertSequence(stdout, [
    /master {2}received beat 1 from demo-host\n/,
    /networks {4}(?:none|[1-9])/,
    /containers {2}(?:none|[1-9])/,
    /host {4}engine \S+, API 1\.\d+, has answered on \/\S+/,
    ...masterFails,
    /agent {3}DECNET (?:OK|WARNING) - /,
  ]);
});

Deno.test(`demo --docker --apply leaves the engine as it was${docker.suffix}`, docker, async () => {
  docker.check();
  const { code, stdout, stderr } = await runDemo(["--docker", "--apply"], ownEngine);
  assert.equal(code, 0, stderr);
  assertReadable(stdout);
  assertSequence(stdout, [
    /it makes 3 networks and 9 containers, all called decnet_t_/,
    /^1\. .*$/m,
    /makes images from nothing: decnet-demo-/,
    ...applies(noDriftOfOurs),
    /^5\. .*$/m,
    ...tearsDown(noDriftOfOurs),
  ]);
  await assertNothingLeft(stdout);
});

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  const name = `demo --docker --apply leaves nothing behind at ${signal}${docker.suffix}`;
  Deno.test(name, docker, async () => {
    docker.check();
    const options = { args: ["--docker", "--apply"], env: ownEngine };
    const ended = await interruptDemo(signal, "[ 4/12]", options);
    assert.equal(ended.code, code, ended.stderr);
    assert.doesNotMatch(ended.stdout, /^3\. /m);
    assert.match(
      ended.stderr,
      /demo: removes what it has made on the engine\n\ndemo: interrupted\n/,
    );
    await assertNothingLeft(ended.stdout);
  });
}
