/** What processes use, read from outside, as proc(5) has it. */

const ticksPerSecond = 100;

/** Returns the processor time of a process until now, in milliseconds. */
export function cpuMsOf(pid: number): number {
  // The name, which may hold spaces, ends with the last bracket.
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ").at(-1)!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 1000 / ticksPerSecond;
}

/** Returns the memory of a process in MiB: all that is resident, or its part that is not of files. */
export function memoryMiBOf(pid: number, kind: "VmRSS" | "RssAnon"): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(new RegExp(`^${kind}:\\s+(\\d+) kB$`, "m").exec(status)![1]) / 1024;
}
