import { checks, examine, exitCodeOf, type Finding, Patient, readService } from "../doctor/mod.ts";
import type { Arguments } from "./arguments.ts";
import { doctorJson, findingText } from "./doctor_text.ts";
import type { ExitCode } from "./exit.ts";
import { explainConfiguration } from "./explanation.ts";
import { printJson } from "./print_json.ts";
import { isColoured, type Terminal } from "./terminal.ts";
import { versions } from "./version.ts";

/** What waits longer than that is cut off: a little before the checks' own end. */
const lookTimeoutMs = 11_500;

/** `doctor`: looks for what is wrong on this host; the exit code is that of the worst. */
export async function doctor(
  { json, values, config }: Arguments,
  terminal: Terminal,
): Promise<ExitCode> {
  const { isActive } = await readService("");
  const { configuration, ...explanation } = explainConfiguration(values, config, {
    ...terminal,
    isServiceActive: isActive,
  });
  const patient = new Patient({
    ...explanation,
    agent: configuration.agent,
    listen: configuration.listen,
    textfile: configuration.textfile,
    intervalMs: configuration.intervalMs,
    versions: versions(),
    uid: Deno.uid() ?? 0,
    otherStateDirectories: usualStateDirectories(terminal),
    signal: AbortSignal.timeout(lookTimeoutMs),
  });
  const findings: Finding[] = [];
  const withColour = isColoured(terminal);
  for await (const finding of examine(patient, checks)) {
    findings.push(finding);
    if (!json) terminal.stdout(findingText(finding, withColour));
  }
  const code = exitCodeOf(findings);
  if (json) printJson(terminal, doctorJson(findings, code));
  return code;
}

function usualStateDirectories({ variable }: Terminal): string[] {
  const homes = [variable("HOME"), "/root"].filter((home) => home !== undefined);
  const ofUser = [variable("XDG_STATE_HOME"), ...homes.map((home) => `${home}/.local/state`)];
  return ["/var/lib/decnet-agent"].concat(
    [...new Set(ofUser)].flatMap((folder) =>
      folder?.startsWith("/") ? [`${folder}/decnet-agent`] : []
    ),
  );
}
