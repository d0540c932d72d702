// deno-lint-ignore-file no-console
/**
 * Runs hundreds of agents on one machine: `deno task bench:fleet-real [AGENTS [INTERVAL_SECONDS
 * [SECONDS]]]`. Each is the executable in a process of its own, with a certificate of its own. All
 * share a stand-in engine and a stand-in master, which they reach by mutual TLS over the loopback:
 * first one that keeps connections, as a master should, then for as long one that does not. Exits
 * with 1 when a heartbeat is lost. It takes some 20 MiB of memory for each agent.
 */

import { existsSync } from "node:fs";
import { cpuMsOf } from "../tests/support/processes.ts";
import { startAgent } from "./agent.ts";
import { figure, percentile, printFigures, printTable, startStandIn } from "./harness.ts";
import { withAgent } from "./harness.ts";
import type { MasterCounts } from "./programs/master.ts";

const [agents = 300, intervalSeconds = 10, seconds = 25] = Deno.args.map(Number);
/** A start takes a tenth of a second of a processor and more, and what waits too long gives up. */
const startsPerSecond = 8;

/** Returns a process's share of the memory, in MiB: what it shares with others counts in part. */
function memoryMiB(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  return Number(/^Pss:\s+(\d+) kB$/m.exec(text)![1]) / 1024;
}

/** The agents, and what they and their master have reported. */
class RealFleet implements AsyncDisposable {
  readonly #agents: Deno.ChildProcess[] = [];
  readonly #metrics: ReturnType<typeof readMetrics>[] = [];
  #latenciesMs: number[] = [];

  constructor(readonly folder: string, readonly masterPid: number) {}

  /** Starts the agents, as fast as a small machine can. */
  async start(): Promise<void> {
    // A first heartbeat comes after half an interval on average, and is counted a second later.
    const awaited = Math.ceil(startsPerSecond * (intervalSeconds / 2 + 1));
    while (this.#agents.length < agents) {
      if (this.#agents.length - this.counts().hosts < awaited) this.#startOne(this.#agents.length);
      await new Promise((resolve) => setTimeout(resolve, 1000 / startsPerSecond));
    }
  }

  #startOne(host: number): void {
    const own = `${this.folder}/${host}`;
    Deno.mkdirSync(`${own}/state`);
    Deno.copyFileSync(`${this.folder}/docker.sock.db`, `${own}/state/topology.db`);
    const port = Deno.readTextFileSync(`${this.folder}/port`);
    const flags = { port, socket: `${this.folder}/docker.sock`, interval: `${intervalSeconds}s` };
    const textfile = `--textfile=${own}/agent.prom`;
    this.#agents.push(startAgent(`${this.folder}/agent`, own, flags, textfile));
    this.#metrics.push(null);
  }

  /** Returns what the master has received until a second ago. */
  counts(): MasterCounts {
    return JSON.parse(Deno.readTextFileSync(`${this.folder}/counts`));
  }

  /** Reads the metrics for so many seconds; returns whether a condition came true meanwhile. */
  async watch(seconds: number, isEnough = () => false): Promise<boolean> {
    const until = performance.now() + seconds * 1000;
    while (performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      for (const [host, before] of this.#metrics.entries()) {
        const metrics = readMetrics(`${this.folder}/${host}/agent.prom`);
        if (metrics === null || metrics.at === before?.at) continue;
        this.#metrics[host] = metrics;
        this.#latenciesMs.push(metrics.latencyMs);
      }
      if (isEnough()) return true;
    }
    return false;
  }

  /** Watches for `seconds`; returns the values of `figures`, in their order. */
  async measure(): Promise<number[]> {
    const pids = this.#agents.map(({ pid }) => pid);
    const agentMs = () => pids.reduce((sum, pid) => sum + cpuMsOf(pid), 0) / agents;
    this.#latenciesMs = [];
    const before = { ...this.counts(), masterMs: cpuMsOf(this.masterPid), agentMs: agentMs() };
    // Whole seconds of the clock, as those are what is counted.
    const from = Math.floor(Date.now() / 1000) + 1;
    await this.watch(seconds);
    const masterMs = cpuMsOf(this.masterPid) - before.masterMs;
    const agentShare = (agentMs() - before.agentMs) / seconds / 10;
    const latenciesMs = this.#latenciesMs;
    // The master's counts may be a second old.
    await this.watch(2);
    const after = this.counts();
    const perSecond = Array.from({ length: seconds }, (_, n) => after.perSecond[from + n] ?? 0);
    const heartbeats = perSecond.reduce((sum, count) => sum + count, 0);
    const connections = after.connections - before.connections;
    return [
      ...[heartbeats / seconds, Math.max(...perSecond) / (heartbeats / seconds)],
      ...[connections / (after.heartbeats - before.heartbeats), after.openConnections],
      ...[percentile(latenciesMs, 0.5), percentile(latenciesMs, 0.99)],
      ...[masterMs / heartbeats, masterMs / seconds / 10, agentShare],
      ...[percentile(pids.slice(0, 20).map(memoryMiB), 0.5), Deno.loadavg()[0]!],
    ];
  }

  /** Ends the agents; returns what they have counted, and how many did not exit with 0. */
  async stop(): Promise<{ delivered: number; others: number; failed: number }> {
    for (const child of this.#agents) child.kill("SIGTERM");
    const ended = await Promise.all(this.#agents.map(({ status }) => status));
    await this.watch(2);
    const sum = (key: "delivered" | "others") => {
      return this.#metrics.reduce((total, it) => total + (it?.[key] ?? 0), 0);
    };
    const failed = ended.filter(({ code }) => code !== 0).length;
    return { delivered: sum("delivered"), others: sum("others"), failed };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#agents) await child[Symbol.asyncDispose]();
  }
}

/** Returns what an agent has reported in its metrics; null before the first heartbeat. */
function readMetrics(path: string) {
  if (!existsSync(path)) return null;
  const text = Deno.readTextFileSync(path);
  const value = (name: string) => new RegExp(`^decnet_agent_${name} (\\S+)$`, "m").exec(text)?.[1];
  const heartbeats = (result: string) => Number(value(`beats_total\\{result="${result}"\\}`) ?? 0);
  return {
    at: value("last_beat_attempt_timestamp_seconds") ?? "",
    latencyMs: 1000 * Number(value("master_latency_seconds")),
    delivered: heartbeats("delivered"),
    others: heartbeats("rejected") + heartbeats("unreachable") + heartbeats("not_configured"),
  };
}

/** The figures of `RealFleet.measure()`: their names and digits. */
const figures: readonly (readonly [name: string, digits: number])[] = [
  ["heartbeats per second, mean", 1],
  ["busiest second ÷ mean", 2],
  ["handshakes ÷ heartbeats", 2],
  ["connections open", 0],
  ["latency at the agents, p50, ms", 1],
  ["latency at the agents, p99, ms", 1],
  ["the master's processor time, ms a heartbeat", 2],
  ["the master, % of a processor", 1],
  ["an agent, % of a processor", 3],
  ["an agent's memory, MiB", 1],
  [`load of the last minute, ${navigator.hardwareConcurrency} processors`, 1],
];

const isWhole = await withAgent(async (folder) => {
  const socket = `${folder}/docker.sock`;
  await using _engine = await startStandIn("engine", [socket], socket);
  await using master = await startStandIn("master", [folder, agents], `${folder}/port`);
  await using fleet = new RealFleet(folder, master.pid);
  await fleet.start();
  const hasAll = () => fleet.counts().hosts === agents;
  if (!await fleet.watch(intervalSeconds + 60, hasAll)) throw new Error("Not all agents have sent");
  console.log(`${agents} agents, every ${intervalSeconds} s, have sent a heartbeat`);
  await fleet.watch(intervalSeconds);
  const kept = await fleet.measure();
  Deno.writeTextFileSync(`${folder}/close`, "");
  await fleet.watch(1.3 * intervalSeconds);
  const closed = await fleet.measure();
  printTable(
    [`${seconds} s each`, "connections kept", "closed each time", "ratio"],
    figures.map(([name, digits], index) => {
      const [before, after] = [kept[index]!, closed[index]!];
      const ratio = Number.isFinite(after / before) ? (after / before).toFixed(2) : "";
      return [name, before.toFixed(digits), after.toFixed(digits), ratio];
    }),
  );
  const { delivered, others, failed } = await fleet.stop();
  const { heartbeats } = fleet.counts();
  console.log(`delivered: ${delivered}, lost: ${others}, received: ${heartbeats}`);
  console.log(`${failed} agents did not exit with 0`);
  printFigures([figure(`${agents} agents on one master: heartbeats lost`, others, "≤ 0", 0)]);
  // A heartbeat that is cut short by the stop counts for the master alone.
  return others === 0 && heartbeats >= delivered && failed === 0;
});
Deno.exit(isWhole ? 0 : 1);
