import { memoryMiB, processorMs, readCounts } from "./counts.ts";
import type { RealAgents } from "./real_agents.ts";

/** What was seen of a fleet of real agents for some time. */
export interface Measured {
  readonly beats: number;
  /** The most of them that came in one second. */
  readonly busiest: number;
  readonly handshakesPerBeat: number;
  /** At the end. */
  readonly openConnections: number;
  readonly latenciesMs: readonly number[];
  /** Processor time. */
  readonly masterMs: number;
  readonly agentsMs: number;
  /** Of one agent. */
  readonly memoryMiB: number;
  /** The machine's, over the last minute. */
  readonly load: number;
}

/** Watches for so many seconds. */
export async function measure(
  { folder, fleet, masterPid, seconds }: {
    readonly folder: string;
    readonly fleet: RealAgents;
    readonly masterPid: number;
    readonly seconds: number;
  },
): Promise<Measured> {
  const processorOf = (pids: readonly number[]) => {
    return pids.reduce((sum, pid) => sum + processorMs(pid), 0);
  };
  fleet.takeLatencies();
  const before = readCounts(folder);
  const [masterBefore, agentsBefore] = [processorMs(masterPid), processorOf(fleet.pids)];
  // Seconds that the clock has begun, as those are what is counted.
  const from = Math.floor(Date.now() / 1000) + 1;
  await lasting(fleet, seconds);
  const masterMs = processorMs(masterPid) - masterBefore;
  const agentsMs = processorOf(fleet.pids) - agentsBefore;
  const latenciesMs = fleet.takeLatencies();
  // What the master has told may be a second old.
  await lasting(fleet, 2);
  const after = readCounts(folder);
  const perSecond = Array.from({ length: seconds }, (_, n) => after.perSecond[from + n] ?? 0);
  return {
    beats: perSecond.reduce((sum, count) => sum + count, 0),
    busiest: Math.max(...perSecond),
    handshakesPerBeat: (after.connections - before.connections) / (after.beats - before.beats),
    openConnections: after.openConnections,
    latenciesMs,
    masterMs,
    agentsMs,
    memoryMiB: percentile(fleet.pids.slice(0, 20).map(memoryMiB).sort((a, b) => a - b), 0.5),
    load: Deno.loadavg()[0]!,
  };
}

/** Reads the agents' metrics for so many seconds; answers whether a condition came true meanwhile. */
export async function lasting(
  fleet: RealAgents,
  seconds: number,
  isEnough = () => false,
): Promise<boolean> {
  const until = performance.now() + seconds * 1000;
  while (performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    fleet.look();
    if (isEnough()) return true;
  }
  return false;
}

/** The value that a share of them does not exceed; they must be sorted. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.floor((sorted.length - 1) * share)] ?? NaN;
}
