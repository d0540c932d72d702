// deno-lint-ignore-file no-console
/**
 * Hundreds of agents on one machine: `deno task bench:fleet-real [AGENTS [INTERVAL_SECONDS [SECONDS]]]`.
 * Each is the executable's own loop in a process of its own, with a certificate of its own. All share
 * a stand-in engine and a stand-in master, which they reach by mutual TLS over the loopback: first
 * one that keeps connections, as a master should, then for as long one that does not. Exits 1 when a
 * beat is lost. It takes some 20 MiB of memory for each agent.
 *
 * @module
 */

import { lasting, measure, type Measured, percentile } from "./fleet/model.ts";
import { availableMiB, readCounts, RealAgents } from "./fleet/real_agents.ts";
import { compileProgram, printFigures, startStandIn, table } from "./harness.ts";

const [agents = 500, intervalSeconds = 10, seconds = 25] = Deno.args.map(Number);
const neededMiB = 25 * agents;
/** How long the first beats may take to come, besides the interval. */
const patienceSeconds = 60;

async function main(folder: string): Promise<number> {
  if (availableMiB() < neededMiB) throw new Error(`${agents} agents need ${neededMiB} MiB`);
  const engineSocket = `${folder}/docker.sock`;
  const program = `${folder}/agent`;
  await compileProgram("main.ts", program);
  await using _engine = await startStandIn("engine", [engineSocket], engineSocket);
  const masterArguments = [folder, String(agents)];
  await using master = await startStandIn("fleet_master", masterArguments, `${folder}/port`);
  const masterPort = await Deno.readTextFile(`${folder}/port`);
  const store = `${engineSocket}.db`;
  const heard = () => readCounts(folder).hosts;
  const startedAt = performance.now();
  const since = (at: number) => ((performance.now() - at) / 1000).toFixed(0);
  await using fleet = await RealAgents.start({
    ...{ program, folder, agents, intervalSeconds, masterPort, engineSocket, store, heard },
  });
  console.log(`${agents} agents, every ${intervalSeconds} s; started in ${since(startedAt)} s`);
  if (!await lasting(fleet, intervalSeconds + patienceSeconds, () => heard() === agents)) {
    throw new Error(`Only ${heard()} agents have been heard of`);
  }
  console.log(`all heard of ${since(startedAt)} s after the first was started`);
  await lasting(fleet, intervalSeconds);
  const what = { folder, fleet, masterPid: master.pid, seconds };
  const kept = await measure(what);
  Deno.writeTextFileSync(`${folder}/close`, "");
  await lasting(fleet, 1.3 * intervalSeconds);
  const closed = await measure(what);
  report(kept, closed);
  const failed = await fleet.stop();
  await lasting(fleet, 2);
  const totals = fleet.totals();
  const { heartbeats } = readCounts(folder);
  console.log(
    `beats delivered: ${totals.delivered}, not delivered: ${totals.others}, received: ${heartbeats}; ` +
      `${failed} agents did not end with 0`,
  );
  // A beat that is cut short by the stop counts for the master alone.
  const isWhole = totals.others === 0 && heartbeats >= totals.delivered && failed === 0;
  printFigures([{
    name: `${agents} real agents on one master: beats not delivered`,
    goal: "0",
    measured: String(totals.others),
    met: isWhole,
  }]);
  return isWhole ? 0 : 1;
}

function report(...measured: [kept: Measured, closed: Measured]): void {
  const row = (name: string, value: (it: Measured) => number, digits: number, hasRatio = true) => {
    const [kept, closed] = measured.map(value) as [number, number];
    const ratio = hasRatio ? (closed / kept).toFixed(2) : "";
    return [name, kept.toFixed(digits), closed.toFixed(digits), ratio];
  };
  const mean = (it: Measured) => it.heartbeats / seconds;
  console.log(table([
    [`${seconds} s each`, "connections kept", "closed each time", "ratio"],
    row("beats per second, mean", mean, 1),
    row("busiest second ÷ mean", (it) => it.busiest / mean(it), 2, false),
    row("handshakes ÷ beats", (it) => it.handshakesPerHeartbeat, 2, false),
    row("connections open", (it) => it.openConnections, 0, false),
    row("latency at the agents, p50, ms", (it) => percentile(it.latenciesMs, 0.5), 1),
    row("latency at the agents, p99, ms", (it) => percentile(it.latenciesMs, 0.99), 1),
    row("the master's processor time, ms a beat", (it) => it.masterMs / it.heartbeats, 2),
    row("the master, % of a processor", (it) => it.masterMs / seconds / 10, 1),
    row("an agent, % of a processor", (it) => it.agentsMs / agents / seconds / 10, 3),
    row("an agent's memory, MiB", (it) => it.memoryMiB, 1),
    row(
      `load of the last minute, ${navigator.hardwareConcurrency} processors`,
      (it) => it.load,
      1,
      false,
    ),
  ]));
}

const folder = await Deno.makeTempDir({ prefix: "decnet-bench-" });
const code = await main(folder).finally(() => Deno.remove(folder, { recursive: true }));
Deno.exit(code);
