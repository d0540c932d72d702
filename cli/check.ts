import { Agent } from "../agent/heartbeat.ts";
import type { CommandOf } from "./args.ts";
import type { Configuration } from "./config.ts";
import { type ExitCode, findingsOf, onceJson, onceText, worst } from "./report.ts";
import { printJson, type Terminal } from "./terminal.ts";

/** A check exits within 10 s; this leaves time to start and to exit. */
export const checkTimeoutMs = 9_500;
/** The part of it for the store and Docker; the rest is for the master. */
const snapshotTimeoutMs = 7_500;

/** Runs `--once`: sends one heartbeat and prints the result; the exit code is that of the worst finding. */
export async function check(
  { agent: options, logs, warnings, textfile }: Configuration,
  { dryRun, quiet, json }: CommandOf<"once">,
  terminal: Terminal,
): Promise<ExitCode> {
  const agent = new Agent(options);
  const heartbeat = await agent.sendHeartbeat(AbortSignal.timeout(checkTimeoutMs), {
    dryRun,
    snapshotSignal: AbortSignal.timeout(snapshotTimeoutMs),
  });
  const report = logs && (await import("./log_report.ts")).readLogReport(options.storePath);
  const findings = findingsOf(heartbeat, [...warnings, ...report?.warnings ?? []]);
  if (textfile !== null) {
    const { writeMetrics } = await import("./metrics.ts");
    const status = report?.status ?? null;
    const problem = writeMetrics(textfile, heartbeat, { code: worst(findings), logs: status });
    if (problem !== null) findings.push({ code: 1, text: problem });
  }
  if (json) printJson(terminal, onceJson(heartbeat, findings, options.storePath, report));
  else if (!quiet || findings.length > 0) terminal.stdout(`${onceText(heartbeat, findings)}\n`);
  agent.close();
  return worst(findings);
}
