/**
 * Measures whether an apply waits for anything but the engine: `deno task bench:apply-calls [RUNS
 * [DECKIES]]`. The engine is a stand-in that takes some 5 ms for each call. What a call really takes
 * is measured before each apply, by a program that makes the same networks and containers, as many at
 * once, and nothing else. The least time for an apply is that of its calls, divided by how many run at
 * once; its own is that of the whole process.
 */

import { standInOptions } from "../tests/support/topology.ts";
import { FakeEngine } from "../tests/support/engine/fake_engine.ts";
import { planDocument } from "../topology/plan.ts";
import { documentOf } from "./documents.ts";
import { compileProgram, figure, median, printFigures, printTable } from "./harness.ts";
import { run, withAgent } from "./harness.ts";

/** With that a call takes 5 ms: timers are late by one, and calls wait for each other. */
const timerMs = 3;
const parallelCalls = 8;
const [runs = "9", deckies = "100"] = Deno.args;

await withAgent(async (folder) => {
  const document = documentOf(Number(deckies), ["ssh", "http"]);
  const plan = await planDocument(document, standInOptions);
  await Deno.writeTextFile(`${folder}/document.json`, document);
  await Deno.writeTextFile(`${folder}/plan.json`, JSON.stringify(plan));
  await compileProgram("bench/programs/bare_calls.ts", `${folder}/bare_calls`);
  const socket = `${folder}/docker.sock`;
  const images = new Set(plan.containers.map(({ request }) => request.Image));
  const onEngine = async (command: readonly string[]) => {
    await using engine = await FakeEngine.start(socket);
    Object.assign(engine, { images, latencyMs: timerMs });
    return { ...await run(command), calls: engine.requestCount };
  };
  const rows: Record<"ms" | "calls" | "callMs" | "leastMs" | "ratio", number>[] = [];
  for (let index = 0; index < Number(runs); index++) {
    const bare = await onEngine([`${folder}/bare_calls`, socket, `${folder}/plan.json`]);
    const callMs = Number(bare.stdout) * parallelCalls / bare.calls;
    const { ms, calls } = await onEngine([
      ...[`${folder}/agent`, "apply", `${folder}/document.json`],
      ...[`--docker-host=unix://${socket}`, `--state-dir=${folder}/state-${index}`],
    ]);
    const leastMs = calls * callMs / parallelCalls;
    rows.push({ ms, calls, callMs, leastMs, ratio: ms / leastMs });
  }
  const of = (key: keyof typeof rows[number], digits: number) => {
    return median(rows.map((row) => row[key])).toFixed(digits);
  };
  const what = `${deckies} deckies, ${Number(deckies) * 2} services`;
  printTable(
    [what, "calls", "a call, ms", "least ms", "median ms", "ratio"],
    [["apply", of("calls", 0), of("callMs", 2), of("leastMs", 0), of("ms", 0), of("ratio", 2)]],
  );
  const name = `apply of ${what} ÷ (calls × ${of("callMs", 1)} ms ÷ ${parallelCalls})`;
  printFigures([figure(name, Number(of("ratio", 2)), "≤ 1.3", 2, Number(deckies) >= 100)]);
});
