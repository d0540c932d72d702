// deno-lint-ignore-file no-console
/**
 * What a master sees of 10,000 hosts, in virtual time and with the agent's own code for its schedule:
 * `deno task bench:fleet [HOSTS [SEED]]`. Beside it, a loop with a fixed interval and one that varies
 * it by 4 %. Exits 1 when the agent exceeds its bound, which is meant for some thousand hosts: with
 * fewer, chance makes one second differ more from another. Without arguments it also draws the
 * pictures of docs/performance.md.
 *
 * @module
 */

import {
  drawRecovery,
  drawStart,
  goneAt,
  mean,
  outage,
  outageSeconds,
  peak,
  recovery,
  rowsOf,
  schedules,
} from "./fleet/model.ts";
import { type Figure, printFigures, table } from "./harness.ts";

/** How far the busiest second may lie above the average one. */
const bound = 1.5;

function main([hosts = "10000", seed = "1"]: readonly string[]): number {
  const fleet = { hosts: Number(hosts), seed: Number(seed) };
  const cells = [["the busiest second, as a multiple of hosts ÷ 30", ...schedules.keys()]];
  const figures: Figure[] = [];
  for (const { name, of, isFree = false } of rowsOf(fleet)) {
    const ratios = [...schedules.values()].map((it) => peak(...of(it)) / (fleet.hosts / 30));
    cells.push([name, ...ratios.map((it) => it.toFixed(2))]);
    if (isFree) continue;
    const measured = `${ratios.at(-1)!.toFixed(2)} ×`;
    const met = ratios.at(-1)! <= bound;
    const what = name.replace("…", "its master away for");
    figures.push({ name: `a fleet, ${what}: busiest ÷ mean`, goal: `≤ ${bound} ×`, measured, met });
  }
  console.log(`${fleet.hosts} hosts, seed ${fleet.seed}\n${table(cells)}`);
  console.log("The 10 min after the master was away for 10 min:");
  for (const [name, schedule] of schedules) {
    const { accepted, returned } = outage(schedule, fleet, { seconds: outageSeconds });
    const span = recovery(outageSeconds);
    const ratio = (peak(accepted, span) / mean(accepted, span)).toFixed(2);
    const lastAfter = returned.findLastIndex((count) => count > 0) + 1 - goneAt - outageSeconds;
    console.log(`${name}: busiest ÷ average ${ratio}, all hosts are back after ${lastAfter} s`);
  }
  if (Deno.args.length === 0) draw("start", drawStart(fleet));
  if (Deno.args.length === 0) draw("recovery", drawRecovery(fleet));
  printFigures(figures);
  return figures.every(({ met }) => met) ? 0 : 1;
}

function draw(name: string, picture: string): void {
  const file = new URL(`../docs/pictures/fleet-${name}.svg`, import.meta.url);
  Deno.writeTextFileSync(file, picture);
  console.log(`${file.pathname}: ${picture.length} bytes`);
}

if (import.meta.main) Deno.exit(main(Deno.args));
