import { Agent } from "../agent/mod.ts";
import type { Configuration } from "./configuration.ts";
import { type ExitCode, worst } from "./exit.ts";
import { findingsOf } from "./findings.ts";
import { onceJson } from "./once_json.ts";
import { onceText } from "./once_text.ts";
import { printJson } from "./print_json.ts";
import type { Terminal } from "./terminal.ts";
import { agentVersion } from "./version.ts";

/** A check ends within 10 s, whatever happens; this leaves room for start and end. */
export const onceTimeoutMs = 9_500;
/** The part of it for the store and Docker; the rest is the master's. */
const stockTimeoutMs = 7_500;

/** `--once`: one beat, as a line or as JSON; the exit code tells the worst of what was found. */
export async function check(
  { agent: options, warnings, textfile }: Configuration,
  { dryRun, quiet, json }: { dryRun: boolean; quiet: boolean; json: boolean },
  terminal: Terminal,
): Promise<ExitCode> {
  const agent = new Agent({ ...options, agentVersion });
  const beat = await agent.beat(AbortSignal.timeout(onceTimeoutMs), { dryRun, stockTimeoutMs });
  const findings = findingsOf(beat, warnings);
  if (textfile !== null) {
    const { writeMetrics } = await import("./metrics_file.ts");
    const problem = await writeMetrics(textfile, beat, worst(findings));
    if (problem !== null) findings.push({ code: 1, text: problem });
  }
  if (json) printJson(terminal, onceJson(beat, findings, options.storePath));
  else if (!quiet || findings.length > 0) terminal.stdout(`${onceText(beat, findings)}\n`);
  agent.close();
  return worst(findings);
}
