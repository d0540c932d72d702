import assert from "node:assert/strict";
import { Playground } from "../real/playground.ts";
import { dockerSocket, needsDocker } from "../real/sockets.ts";
import { type Answer, call } from "./calls.ts";
import { withEngine } from "./mod.ts";
import { parts } from "./parts.ts";
import { play, type Step } from "./script.ts";

const docker = await needsDocker();

for (const [name, part] of Object.entries(parts)) {
  Deno.test({
    name: `FakeEngine answers as a real engine does: ${name}${docker.suffix}`,
    ignore: docker.ignore,
    async fn() {
      docker.check();
      await using playground = await Playground.open(dockerSocket);
      const image = `decnet-agent-test-${playground.tag}:1`;
      const steps = part({
        tag: `truth-${playground.tag}`,
        image,
        command: ["/pause"],
        subnet: (number) => playground.subnet(number),
        address: (number, host) => playground.address(number, host),
      });
      await withEngine(async (engine) => {
        const { body } = await call(dockerSocket, "GET", `/images/${image}/json`);
        engine.images.add(image, body?.Id);
        assert.deepEqual(
          await play(steps, caller(engine.socketPath)),
          await play(steps, caller(dockerSocket)),
        );
      });
    },
  });
}

function caller(socketPath: string): (step: Step) => Promise<Answer> {
  return ({ method, path, body }) => call(socketPath, method, path, body);
}
