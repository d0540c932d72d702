import { documentOf } from "../tests/engines/apply_setup.ts";
import type { DockerSandbox } from "../tests/engines/sandbox.ts";
import { writeJson } from "../topology/json.ts";

/**
 * Returns a topology of so many deckies on a real engine, and the flags of a command that has it applied
 * with its state in `folder`.
 */
export function sandboxTopology(sandbox: DockerSandbox, folder: string, deckies: number) {
  const image = `decnet-agent-test-${sandbox.tag}:1`;
  const id = `${sandbox.tag}-7425-40de-944b-e07fc1f90ae7`;
  const decky = (index: number) => ({
    on: { office: 10 + index, ...(index === 0 && { dmz: 10 }) },
    services: ["ssh", "http"],
  });
  const all = Array.from({ length: deckies }, (_, index) => [`decky-${index}`, decky(index)]);
  const sample = { id, lans: { dmz: 0, office: 1 }, deckies: Object.fromEntries(all) };
  const flags = [
    ...[
      `--docker-host=unix://${sandbox.socketPath}`,
      `--state-dir=${folder}/state`,
      "--publish=off",
    ],
    ...[`--base-image=${image}`, `--service-image=${image}`],
  ];
  return { id, image, document: writeJson(documentOf(sample, sandbox)), flags };
}
