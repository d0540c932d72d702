/** What bench/programs/fleet_master.ts has seen since its start. */
export interface MasterCounts {
  readonly beats: number;
  /** How many certificates they came with. */
  readonly hosts: number;
  readonly connections: number;
  readonly openConnections: number;
  /** Unix time in seconds → beats in that second. */
  readonly perSecond: Readonly<Record<string, number>>;
}

/** Reads what the master in this folder has seen until a second ago. */
export function readCounts(folder: string): MasterCounts {
  return JSON.parse(Deno.readTextFileSync(`${folder}/counts`));
}

/** The processor time that a process has taken until now, in milliseconds. */
export function processorMs(pid: number): number {
  // The name, which may hold spaces, ends with the last bracket.
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ").at(-1)!.split(" ");
  const ticksPerSecond = 100;
  return (Number(fields[11]) + Number(fields[12])) * 1000 / ticksPerSecond;
}

/** Its share of the machine's memory, in MiB: what it shares with others counts in part. */
export function memoryMiB(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  return Number(/^Pss:\s+(\d+) kB$/m.exec(text)![1]) / 1024;
}

/** What processes may still take, in MiB. */
export function availableMiB(): number {
  const text = Deno.readTextFileSync("/proc/meminfo");
  return Number(/^MemAvailable:\s+(\d+) kB$/m.exec(text)![1]) / 1024;
}
