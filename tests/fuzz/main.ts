// deno-lint-ignore-file no-console -- it is a program of its own
/**
 * Gives hostile input to everything that reads input:
 * `deno run -q -A tests/fuzz/main.ts [--cases 20000] [--seed N] [--target NAME [--case N]]`.
 * The cases are shared out among all targets, unless one is named. A failure is printed with what runs
 * it again alone; the exit code is then 1.
 */

import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { campaign, targets } from "./campaign.ts";

const limits = { limitMs: 1_000, limitRss: 600 * 2 ** 20, hangMs: 60_000 };
const maximumMessage = 4_000;

/** Ends the process with 2 unless `text` is a whole number. */
function wholeNumber(option: string, text: string): number {
  if (/^\d{1,10}$/.test(text)) return Number(text);
  console.error(`--${option}: '${text}' must be a whole number`);
  Deno.exit(2);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      cases: { type: "string", default: "20000" },
      seed: { type: "string" },
      target: { type: "string" },
      case: { type: "string" },
    },
  });
  const seed = values.seed === undefined ? randomInt(2 ** 32) : wholeNumber("seed", values.seed);
  const only = values.case === undefined ? null : wholeNumber("case", values.case);
  const cases = wholeNumber("cases", values.cases);
  const { target } = values;
  const chosen = targets.filter(({ name }) => target === undefined || name === target);
  if (chosen.length === 0 || (only !== null && target === undefined)) {
    console.error(`--target must be one of ${targets.map(({ name }) => name).join(", ")}`);
    Deno.exit(2);
  }
  let failed = false;
  for (const it of chosen) {
    const count = target === undefined ? Math.ceil(cases * it.share) : cases;
    const [from, to] = only === null ? [0, count] : [only, only + 1];
    const startedAt = performance.now();
    const { failures, outcomes, ...tally } = await campaign(it.module, {
      ...{ seed, from, to, ...limits },
      onProgress: (caseNumber) => console.error(`${it.name}: case ${caseNumber} of ${to}`),
    });
    for (const { caseNumber, message } of failures) {
      console.log(`FAILURE --target ${it.name} --seed ${seed} --case ${caseNumber}`);
      console.log(message.slice(0, maximumMessage));
    }
    const seconds = (performance.now() - startedAt) / 1000;
    const sorted = Object.entries(outcomes).sort(([, a], [, b]) => b - a);
    console.log(
      [
        `${it.name}: ${tally.cases} cases, seed ${seed}, ${seconds.toFixed(1)} s`,
        `slowest ${tally.slowestMs.toFixed(0)} ms (case ${tally.slowestCase})`,
        `peak RSS ${Math.round(tally.peakRss / 2 ** 20)} MiB, ${failures.length} failures`,
        sorted.map(([outcome, count]) => `${outcome} ${count}`).join(", "),
      ].join("; "),
    );
    failed ||= failures.length > 0;
  }
  if (failed) Deno.exit(1);
}
