// deno-lint-ignore-file no-console
/**
 * Runs `--once` beside an agent that is kept busy: `deno run -q -A tests/soak/overlap.ts [RUNS]`. A
 * master pushes one topology after the other and tears them down, over mutual TLS, and takes the
 * heartbeats of both. It needs dist/decnet-agent. Exits with 1 when one run fails or takes 10 s: a
 * warning of what is half done is no failure.
 */

import { loadDocument } from "../support/topology.ts";
import { defaultImages } from "../../topology/plan.ts";
import type { FakeEngine } from "../support/engine/fake_engine.ts";
import { type Ended, execute, ListeningHost, RunningAgent } from "../support/executable.ts";

/** Subnets that are kept for tests: on any other, the machine itself might have an address. */
const network = "198.18";
/** One topology is torn down after so many applies of it. */
const appliesOfOne = 3;

/**
 * Pushes topologies and tears them down until `signal` is aborted. Between two applies containers
 * vanish. Throws `Error` when one fails.
 */
async function push(
  setup: ListeningHost,
  engine: FakeEngine,
  signal: AbortSignal,
): Promise<{ applies: number; teardowns: number }> {
  let [applies, teardowns] = [0, 0];
  const post = async (path: string, body: string) => {
    const { status, body: answer } = await setup.call(path, { method: "POST", body });
    if (status !== 200) throw new Error(`${path}: ${status} ${JSON.stringify(answer)}`);
  };
  while (!signal.aborted) {
    const options = { id: crypto.randomUUID(), network };
    const { text, versionHash, topology, plan } = await loadDocument(defaultImages, options);
    engine.images = plan.containers.map(({ request }) => request.Image);
    for (let count = 0; count < appliesOfOne && !signal.aborted; count++) {
      engine.containers = engine.containers.slice(count);
      await post("/topology/apply", `{"hydrated":${text},"version_hash":"${versionHash}"}`);
      applies++;
    }
    await post("/topology/teardown", JSON.stringify({ topology_id: topology.id }));
    teardowns++;
  }
  return { applies, teardowns };
}

/** So many checks run at a time, as cron and monitoring may come together. */
const abreast = 2;
const limitMs = 10_000;

/** What is wrong with a run, or null. */
export function failureOf({ code, stdout, stderr, elapsedMs }: Ended): string | null {
  if (code !== 0 && code !== 1) return `exit code ${code}: ${stdout}${stderr}`;
  const word = code === 0 ? "OK" : "WARNING";
  const line = new RegExp(
    `^DECNET ${word} - [^\\n|]+ \\| networks=\\d+ containers=\\d+ [^\\n|]+\\n$`,
  );
  if (!line.test(stdout)) return `not a line: ${JSON.stringify(stdout)}`;
  return elapsedMs < limitMs ? null : `it took ${elapsedMs.toFixed(0)} ms`;
}

async function main(runs: number): Promise<number> {
  await using setup = await ListeningHost.create();
  const engine = await setup.host.startEngine();
  engine.latencyMs = 2;
  await using agent = new RunningAgent(setup.flags);
  await agent.until(() => agent.stderr.includes("msg=listening"));
  const over = new AbortController();
  const pushing = push(setup, engine, over.signal);
  const times: number[] = [];
  const failures: string[] = [];
  const words = new Map<string, number>();
  const check = async () => {
    while (times.length < runs && !over.signal.aborted) {
      const index = times.push(Infinity) - 1;
      const ended = await execute(["--once", ...setup.host.flags(setup.master)]);
      times[index] = ended.elapsedMs;
      const word = ended.stdout.split(" ")[1] ?? "nothing";
      words.set(word, (words.get(word) ?? 0) + 1);
      const failure = failureOf(ended);
      if (failure !== null) failures.push(failure);
    }
  };
  try {
    await Promise.race([Promise.all(Array.from({ length: abreast }, check)), pushing]);
  } finally {
    over.abort();
  }
  const { applies, teardowns } = await pushing;
  const { code } = await agent.stop();
  times.sort((a, b) => a - b);
  const inSeconds = (ms: number | undefined) => `${((ms ?? 0) / 1000).toFixed(2)} s`;
  for (const failure of failures) console.log(`FAIL  ${failure}`);
  const isWell = failures.length === 0 && code === 0 && applies > 0;
  console.log(
    `${isWell ? "ok  " : "FAIL"}  checks beside a busy loop: ` + [
      `${times.length} runs, ${failures.length} failed`,
      `median ${inSeconds(times[times.length >> 1])}, slowest ${inSeconds(times.at(-1))}`,
      [...words].map(([word, count]) => `${count} ${word}`).join(", "),
      `meanwhile ${applies} applies, ${teardowns} teardowns, ${setup.master.heartbeatCount} heartbeats`,
    ].join("; "),
  );
  if (code !== 0) console.log(`FAIL  the loop ended with ${code}`);
  if (applies === 0) console.log("FAIL  nothing was applied meanwhile");
  return isWell ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Number(Deno.args[0] ?? 100)));
