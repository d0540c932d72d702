import assert from "node:assert/strict";
import { Agent } from "../../agent/mod.ts";
import { defaultImages } from "../../topology/mod.ts";
import { runOn } from "../command_line.ts";
import { requirement } from "../requirements.ts";
import { TemporaryFolder } from "../temporary_folder.ts";
import { hasPodman, OwnPodman } from "./own_podman.ts";
import { Playground } from "./playground.ts";

const podman = requirement("podman", await hasPodman());

/** What is done to the service, and what is said then; null when all is well. */
type Step = [act: (service: OwnPodman) => unknown, error: string | null];

const steps: Step[] = [
  [(service) => service.freeze(), "no answer within 5 s; if that lasts, restart the engine"],
  [(service) => service.run(), null],
  [(service) => service.end("SIGKILL"), "nobody listens; start the engine"],
  [(service) => service.run(), null],
  [
    (service) => service.end("SIGTERM"),
    "no such socket; is the engine installed, and running?",
  ],
  [(service) => service.run(), null],
];

Deno.test({
  name: "a beat and --once tell of a Podman that hangs, is killed and is stopped, and of what it " +
    `runs when it is back${podman.suffix}`,
  ignore: podman.ignore,
  async fn() {
    podman.check();
    using folder = new TemporaryFolder();
    await using service = new OwnPodman(folder.path);
    await service.run();
    await using playground = await Playground.open(service.socketPath);
    const name = `ours-${playground.tag}`;
    await playground.makeContainer(name);
    const agent = new Agent({
      agentVersion: "1.2.3",
      hostUuid: null,
      master: null,
      agentDirectory: folder.path,
      storePath: `${folder.path}/topology.db`,
      sockets: [service.socketPath],
      networkPrefixes: [name],
      containerPrefixes: [name],
      images: defaultImages,
    });
    const flags = [
      ...[`--docker-host=unix://${service.socketPath}`, `--state-dir=${folder.path}`],
      ...[`--agent-dir=${folder.path}`, `--container-prefix=${name}`, `--network-prefix=${name}`],
    ];
    try {
      for (const [act, error] of steps) {
        await act(service);
        const [beat, once] = await Promise.all([
          agent.beat(new AbortController().signal),
          runOn(["--once", ...flags]),
        ]);
        const { observed } = beat.body.topology!;
        if (error === null) {
          // Other tests may have labelled what they run.
          assert.ok("containers" in observed && observed.containers.includes(name));
          assert.equal(once.code, 1);
          assert.match(once.stdout, /^DECNET WARNING - unexpected .*\| networks=\d+ containers=/);
        } else {
          const message = `Cannot observe Docker at ${service.socketPath}: ${error}`;
          assert.deepEqual(observed, { error: message });
          assert.deepEqual([once.code, once.stdout], [2, `DECNET CRITICAL - ${message}\n`]);
        }
      }
    } finally {
      agent.close();
      // What was made must be removed by it.
      await service.run();
    }
  },
});
