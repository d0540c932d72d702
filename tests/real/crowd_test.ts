import assert from "node:assert/strict";
import { callsForOurs, Crowd } from "../../docker/crowd.ts";
import { observe } from "../../docker/mod.ts";
import { Playground } from "./playground.ts";
import { dockerSocket, needsDocker, needsPodman, podmanSocket } from "./sockets.ts";

const label = "decnet.topology.id";
const engines = [
  { engine: "Docker", requirement: await needsDocker(), socket: dockerSocket },
  { engine: "Podman", requirement: await needsPodman(), socket: podmanSocket },
];

/** The containers of the playground that are taken for ours; `isCrowded` as on a host with many. */
async function look(
  { tag, socketPath: socket }: Playground,
  { prefixes, isCrowded }: { prefixes: readonly string[]; isCrowded: boolean },
): Promise<string[]> {
  const crowd = new Crowd();
  if (isCrowded) {
    const calls = crowd.find({ areMostOurs: false, prefixes });
    assert.deepEqual(calls, callsForOurs(prefixes));
  }
  const { inventory } = await observe(new AbortController().signal, {
    ...{ socket, crowd, networkPrefixes: [], containerPrefixes: prefixes },
    ...{ callTimeoutMs: 30_000, timeoutMs: 60_000 },
  });
  return inventory.containers.map(({ name }) => name).filter((it) => it.includes(tag)).sort();
}

for (const { engine, requirement, socket } of engines) {
  Deno.test({
    name: `${engine}'s filters let through exactly what is ours${requirement.suffix}`,
    ignore: requirement.ignore,
    async fn() {
      requirement.check();
      await using playground = await Playground.open(socket);
      const { tag } = playground;
      const make = (name: string, labels: Record<string, string> = {}) => {
        return playground.makeContainer(name, { isStarted: false, labels });
      };
      const ours = [`q.${tag}`, `q.${tag}-web`, `r-${tag}`];
      const foreign = [
        `qx${tag}`,
        `xq.${tag}`,
        `x-r-${tag}`,
        `Q.${tag}`,
        `R-${tag}`,
        `x_${tag}_q.`,
      ];
      for (const name of [...ours, ...foreign]) await make(name);
      await make(`by-label-${tag}`, { [label]: tag });
      await make(`q.${tag}-both`, { [label]: tag });
      await make(`by-empty-label-${tag}`, { [label]: "" });
      await make(`other-label-${tag}`, { [`${label}s`]: tag, x: label, "decnet.topology": "id" });
      await playground.makeContainer(`q.${tag}-runs`);
      if (engine === "Docker") {
        // A legacy link gives what is linked a second name, /LINKING/ALIAS.
        await playground.docker.createContainer({
          name: `q.${tag}-links`,
          Image: `decnet-agent-test-${tag}:1`,
          HostConfig: { NetworkMode: "default", Links: [`x-r-${tag}:alias`, `r-${tag}:alias2`] },
        });
      }
      const more = [
        `by-empty-label-${tag}`,
        `by-label-${tag}`,
        `q.${tag}-both`,
        `q.${tag}-runs`,
        ...(engine === "Docker" ? [`q.${tag}-links`] : []),
      ];
      const prefixes = [`q.${tag}`, "r-"];
      const whole = await look(playground, { prefixes, isCrowded: false });
      assert.deepEqual(whole, [...ours, ...more].sort());
      assert.deepEqual(await look(playground, { prefixes, isCrowded: true }), whole);
      assert.deepEqual(await look(playground, { prefixes: [], isCrowded: true }), [
        `by-empty-label-${tag}`,
        `by-label-${tag}`,
        `q.${tag}-both`,
      ]);
    },
  });

  Deno.test({
    name:
      `${engine} lists fewer containers than its limit only when it lists all${requirement.suffix}`,
    ignore: requirement.ignore,
    async fn() {
      requirement.check();
      await using playground = await Playground.open(socket);
      const { docker, tag } = playground;
      const names = ["a", "b", "c", "d"].map((name) => `${name}-${tag}`);
      for (const name of names) await playground.makeContainer(name, { isStarted: false });
      const filters = { name: [tag] };
      const counts: number[] = [];
      for (const limit of [1, 3, 4, 5, 300]) {
        counts.push((await docker.listContainers({ all: true, limit, filters })).length);
      }
      assert.deepEqual(counts, [1, 3, 4, 4, 4]);
    },
  });
}
