// deno-lint-ignore-file no-console
/**
 * Whether an apply waits for anything but the engine: `deno task bench:apply-calls [RUNS [DECKIES]]`.
 * The engine is a stand-in that takes some 5 ms for each call. What a call really takes is measured
 * before each apply, by a program that makes the same networks and containers, as many at once, and
 * nothing else. The least time for an apply is that of its calls, divided by how many are under way at
 * once; its own is that of the whole process.
 *
 * @module
 */

import { FakeEngine } from "../tests/support/engine/fake_engine.ts";
import { defaultImages, type Plan, planDocument } from "../topology/plan.ts";
import { compileProgram, median, printFigures, table } from "./harness.ts";
import { topologyOf } from "./size.ts";

const bound = 1.3;
/** With that a call takes 5 ms: timers are late by one, and calls wait for each other. */
const timerMs = 3;
const parallelCalls = 8;
const services = ["ssh", "http"];

async function main([runs = "9", deckies = "100"]: readonly string[]): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "decnet-bench-" });
  try {
    const document = topologyOf(Number(deckies), { services });
    await Deno.writeTextFile(`${folder}/document.json`, document);
    const plan = await planDocument(document, defaultImages);
    await Deno.writeTextFile(`${folder}/plan.json`, JSON.stringify(plan));
    await compileProgram("main.ts", `${folder}/agent`);
    await compileProgram("bench/programs/bare_calls.ts", `${folder}/bare_calls`);
    const rows: Run[] = [];
    for (let run = 0; run < Number(runs); run++) rows.push(await apply(folder, plan, run));
    const calls = rows[0]!.calls;
    const callMs = median(rows.map((it) => it.callMs));
    const leastMs = calls * callMs / parallelCalls;
    const ms = median(rows.map((it) => it.ms));
    const ratio = median(rows.map((it) => it.ms / (it.calls * it.callMs / parallelCalls)));
    const of = `${deckies} deckies, ${Number(deckies) * services.length} services`;
    console.log(table([
      [of, "calls", "a call, ms", "least ms", "median ms", "ratio"],
      [
        "apply",
        String(calls),
        callMs.toFixed(2),
        leastMs.toFixed(0),
        ms.toFixed(0),
        ratio.toFixed(2),
      ],
    ]));
    printFigures([{
      name: `apply of ${of} ÷ (calls × ${callMs.toFixed(1)} ms ÷ ${parallelCalls})`,
      goal: `≤ ${bound}`,
      measured: ratio.toFixed(2),
      met: Number(deckies) >= 100 ? ratio <= bound : null,
    }]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Run {
  /** Of the whole process. */
  readonly ms: number;
  readonly calls: number;
  /** What a call of the stand-in takes while so many are under way. */
  readonly callMs: number;
}

/** Applies the document to an engine that runs nothing, after the bare calls have. */
async function apply(folder: string, plan: Plan, run: number): Promise<Run> {
  const images = new Set(plan.containers.map(({ request }) => request.Image));
  const socket = `${folder}/docker.sock`;
  const bare = await onEngine(socket, images, [
    `${folder}/bare_calls`,
    socket,
    `${folder}/plan.json`,
  ]);
  const { ms, calls } = await onEngine(socket, images, [
    `${folder}/agent`,
    "apply",
    `${folder}/document.json`,
    `--docker-host=unix://${socket}`,
    `--state-dir=${folder}/state-${run}`,
  ]);
  return { ms, calls, callMs: Number(bare.stdout) * parallelCalls / bare.calls };
}

async function onEngine(
  socket: string,
  images: ReadonlySet<string>,
  [program, ...args]: readonly [string, ...string[]],
): Promise<{ ms: number; calls: number; stdout: string }> {
  await using engine = await FakeEngine.start(socket);
  engine.images = images;
  engine.latencyMs = timerMs;
  const startedAt = performance.now();
  const ended = await new Deno.Command(program, { args, stdin: "null" }).output();
  const ms = performance.now() - startedAt;
  const [stdout, stderr] = [ended.stdout, ended.stderr].map((it) => new TextDecoder().decode(it));
  if (!ended.success) throw new Error(stderr);
  return { ms, calls: engine.requestCount, stdout: stdout! };
}

if (import.meta.main) await main(Deno.args);
