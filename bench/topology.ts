// deno-lint-ignore-file no-console
/**
 * How the work on a topology grows with its deckies: `deno task bench:topology [ROUNDS [MOST]]`. Each
 * decky has one service. All sizes run in one program, compiled as the agent is, without a JIT; of
 * each step the shortest time counts, as nothing but the machine makes it longer. Without arguments it
 * also draws docs/pictures/size-topology.svg.
 *
 * @module
 */

import { compileProgram, type Figure, printFigures, table } from "./harness.ts";
import { plot } from "./plot.ts";

const boundMs = 1_000;
/** How far a decky of many may lie above a decky of few. */
const boundRatio = 1.3;
/** What a beat does with a document that it has not seen before; later it has the plan. */
const heartbeat = ["parse", "read", "plan", "list", "drift"];
const apply = ["hash", "validate", "write", "changes"];

async function main([rounds = "15", most = "5000"]: readonly string[]): Promise<void> {
  const sizes = [100, 200, 500, 1_000, 2_000, 5_000].filter((it) => it <= Number(most));
  const folder = await Deno.makeTempDir({ prefix: "decnet-bench-" });
  let results: Record<string, number>[];
  try {
    await compileProgram("bench/programs/topology_costs.ts", `${folder}/costs`);
    const { success, stdout, stderr } = await new Deno.Command(`${folder}/costs`, {
      args: [rounds, ...sizes.map(String)],
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    results = JSON.parse(new TextDecoder().decode(stdout));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const sum = (index: number, steps: readonly string[]) => {
    return steps.reduce((total, step) => total + results[index]![step]!, 0);
  };
  const steps = [...heartbeat, ...apply];
  const rowOf = (name: string, of: readonly string[]) => [
    name,
    ...sizes.map((_, index) => sum(index, of).toFixed(1)),
    ratioOf(of).toFixed(2),
  ];
  const [first, last] = [Math.max(0, sizes.indexOf(500)), sizes.length - 1];
  function ratioOf(of: readonly string[]): number {
    return sum(last, of) / sizes[last]! / (sum(first, of) / sizes[first]!);
  }
  console.log(
    table([
      ["ms", ...sizes.map(String), `a decky, ${sizes[last]} ÷ ${sizes[first]}`],
      ...steps.map((step) => rowOf(step, [step])),
      rowOf("a beat", heartbeat),
      rowOf("an apply adds", apply),
      rowOf("all", steps),
    ]),
  );
  const canTell = sizes[last]! === 5_000;
  const ratio = (name: string, of: readonly string[]): Figure => ({
    name: `${name}: a decky of ${sizes[last]} ÷ a decky of ${sizes[first]}`,
    goal: `≤ ${boundRatio}`,
    measured: ratioOf(of).toFixed(2),
    met: canTell ? ratioOf(of) <= boundRatio : null,
  });
  const allMs = sum(last, steps);
  printFigures([
    {
      name: `and an apply, but for the engine's time, ${sizes[last]} deckies`,
      goal: `< ${boundMs} ms`,
      measured: `${allMs.toFixed(0)} ms`,
      met: canTell ? allMs < boundMs : null,
    },
    ratio("plan", ["plan"]),
    ratio("drift", ["drift"]),
    ratio("hash", ["hash"]),
    ratio("all", steps),
  ]);
  if (Deno.args.length > 0) return;
  const file = new URL("../docs/pictures/size-topology.svg", import.meta.url);
  const picture = plot({
    title: "Time against the deckies of a topology",
    description: "Both axes are logarithmic. The lines of hash, plan and drift rise with the " +
      `slope 1. At ${sizes[last]} deckies all takes ${allMs.toFixed(0)} ms.`,
    x: { label: "deckies, each with one service", log: true },
    y: { label: "milliseconds", log: true, from: 0.5, to: 1_200 },
    mark: { y: boundMs, name: "the goal" },
    series: [["drift", ["drift"]], ["hash", ["hash"]], ["plan", ["plan"]], ["a beat", heartbeat], [
      "and an apply",
      steps,
    ]].map(([name, of]) => ({
      name: name as string,
      points: sizes.map((size, index) => [size, sum(index, of as readonly string[])] as const),
    })),
  });
  Deno.writeTextFileSync(file, picture);
  console.log(`${file.pathname}: ${picture.length} bytes`);
}

if (import.meta.main) await main(Deno.args);
