/**
 * Measures an apply on a real Podman beside the calls that it needs: `deno task bench:apply-podman
 * [ROUNDS [DECKIES]]`. Needs Podman's service at $PODMAN_TEST_SOCKET. A program that makes the same
 * networks and containers with as many calls at once, and nothing else, runs in turn with the agent.
 */

import { podman } from "../tests/engines/engines.ts";
import { DockerSandbox } from "../tests/engines/sandbox.ts";
import { defaultPlanOptions, planDocument } from "../topology/plan.ts";
import { compileProgram, figure, median, printFigures, printTable } from "./harness.ts";
import { run, withAgent } from "./harness.ts";
import { sandboxTopology } from "./sandbox.ts";

const [rounds = "5", deckies = "10"] = Deno.args;
if (!podman.requirement.isPresent) throw new Error("Podman does not answer at $PODMAN_TEST_SOCKET");

await withAgent(async (folder) => {
  await using sandbox = await DockerSandbox.open(podman.socket);
  const { id, image, document, flags } = sandboxTopology(sandbox, folder, Number(deckies));
  const images = { base: image, service: image, byService: new Map() };
  const plan = await planDocument(document, { ...defaultPlanOptions, images, publish: null });
  await Deno.writeTextFile(`${folder}/document.json`, document);
  await Deno.writeTextFile(`${folder}/plan.json`, JSON.stringify(plan));
  await compileProgram("bench/programs/bare_calls.ts", `${folder}/bare_calls`);
  const removed = async (command: readonly string[]) => {
    const { ms } = await run(command);
    await run([`${folder}/agent`, "teardown", id, ...flags]);
    return ms;
  };
  const [bare, applied]: [number[], number[]] = [[], []];
  for (let round = 0; round < Number(rounds); round++) {
    bare.push(await removed([`${folder}/bare_calls`, podman.socket, `${folder}/plan.json`]));
    applied.push(
      await removed([`${folder}/agent`, "apply", `${folder}/document.json`, ...flags]),
    );
  }
  printTable(["Podman", "median ms"], [
    ["the calls alone", median(bare).toFixed(0)],
    ["apply", median(applied).toFixed(0)],
  ]);
  printFigures([
    figure(
      `apply of ${deckies} deckies on Podman ÷ its calls`,
      median(applied) / median(bare),
      "≤ 1.3 ×",
      2,
      Number(rounds) >= 3,
    ),
  ]);
});
