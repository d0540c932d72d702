// deno-lint-ignore-file no-console
/**
 * Runs `--once` beside an agent that is kept busy: `deno run -q -A tests/soak/overlap.ts [RUNS]`. A
 * master pushes one topology after the other and tears them down, over mutual TLS, and takes the
 * heartbeats of both. It needs dist/decnet-agent. Exits with 1 when one run fails or takes 10 s: a
 * warning of what is half done is no failure.
 */

import { loadDocument, standInOptions } from "../support/topology.ts";
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
    const { text, versionHash, topology, plan } = await loadDocument(standInOptions, options);
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
function failureOf({ code, stdout, stderr, elapsedMs }: Ended): string | null {
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
  const results: Ended[] = [];
  let started = 0;
  const check = async () => {
    while (started++ < runs && !over.signal.aborted) {
      results.push(await execute(["--once", ...setup.host.flags(setup.master)]));
    }
  };
  try {
    await Promise.race([Promise.all(Array.from({ length: abreast }, check)), pushing]);
  } finally {
    over.abort();
  }
  const { applies, teardowns } = await pushing;
  await agent.stop();
  const times = results.map(({ elapsedMs }) => elapsedMs / 1000).sort((a, b) => a - b);
  const failures = results.map(failureOf).filter((failure) => failure !== null);
  const warnings = results.filter(({ code }) => code === 1).length;
  if (applies === 0) failures.push("nothing was applied meanwhile");
  for (const failure of failures) console.log(`FAIL  ${failure}`);
  console.log(
    `${failures.length === 0 ? "ok  " : "FAIL"}  checks beside a busy agent: ` + [
      `${times.length} runs, ${warnings} with a warning, ${failures.length} failures`,
      `median ${times[times.length >> 1]?.toFixed(2)} s, slowest ${times.at(-1)?.toFixed(2)} s`,
      `meanwhile ${applies} applies, ${teardowns} teardowns, ${setup.master.heartbeatCount} heartbeats`,
    ].join("; "),
  );
  return failures.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Number(Deno.args[0] ?? 100)));
