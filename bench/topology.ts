/**
 * Measures how the work on a topology grows with its deckies: `deno task bench:topology [ROUNDS
 * [MOST]]`. Each decky has one service. All sizes run in one program, compiled as the agent is; of each
 * step the shortest time counts, as only the machine makes it longer.
 */

import { compileProgram, figure, printFigures, printTable, run, withAgent } from "./harness.ts";

/** What a heartbeat does with a document that it has not seen before; later it has the plan. */
const heartbeat = ["parse", "read", "plan", "list", "drift"];
const apply = ["hash", "validate", "write", "changes"];
const steps = [...heartbeat, ...apply];
const sums: readonly [name: string, steps: readonly string[]][] = [
  ["a heartbeat", heartbeat],
  ["an apply adds", apply],
  ["all", steps],
];

const [rounds = "15", most = "5000"] = Deno.args;
const sizes = [100, 200, 500, 1_000, 2_000, 5_000].filter((it) => it <= Number(most));
const [few, many] = [Math.max(0, sizes.indexOf(500)), sizes.length - 1];

const results: Record<string, number>[] = await withAgent(async (folder) => {
  await compileProgram("bench/programs/topology_costs.ts", `${folder}/costs`);
  return JSON.parse((await run([`${folder}/costs`, rounds, ...sizes.map(String)])).stdout);
});
/** Returns the milliseconds of some steps at a size. */
const sum = (of: readonly string[], index: number) => {
  return of.reduce((total, step) => total + results[index]![step]!, 0);
};
/** Returns the time for a decky of many, as a multiple of that for a decky of few. */
const growth = (of: readonly string[]) => {
  return sum(of, many) / sizes[many]! / (sum(of, few) / sizes[few]!);
};
printTable(
  ["ms", ...sizes.map(String), `a decky, ${sizes[many]} ÷ ${sizes[few]}`],
  [...steps.map((step) => [step, [step]] as const), ...sums].map(([name, of]) => {
    return [name, ...sizes.map((_, index) => sum(of, index).toFixed(1)), growth(of).toFixed(2)];
  }),
);
const canTell = sizes[many] === 5_000;
const name = `a heartbeat and an apply without the engine's time, ${sizes[many]} deckies`;
printFigures([
  figure(name, sum(steps, many), "< 1000 ms", 0, canTell),
  ...[["plan"], ["drift"], ["hash"], steps].map((of) => {
    const name = of === steps ? "all" : of[0];
    const what = `${name}: a decky of ${sizes[many]} ÷ a decky of ${sizes[few]}`;
    return figure(what, growth(of), "≤ 1.3", 2, canTell);
  }),
]);
