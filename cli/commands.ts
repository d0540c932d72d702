import { Agent } from "../agent/mod.ts";
import { printable } from "../host/mod.ts";
import { versionHash } from "../topology/mod.ts";
import { onceTimeoutMs } from "./check.ts";
import type { Configuration } from "./configuration.ts";
import { readDocument } from "./document_file.ts";
import { type ExitCode, worst } from "./exit.ts";
import { findingsOf } from "./findings.ts";
import { printJson } from "./print_json.ts";
import { stateText } from "./state_text.ts";
import { isColoured, type Terminal } from "./terminal.ts";
import { agentVersion, versions } from "./version.ts";

/** `--version`. */
export function printVersion(json: boolean, terminal: Terminal): ExitCode {
  const { agent, deno, sqlite } = versions();
  if (json) printJson(terminal, { agent, deno, sqlite });
  else terminal.stdout(`decnet-agent ${agent} (Deno ${deno}, SQLite ${sqlite})\n`);
  return 0;
}

/** `hash`. Throws `Error` when the file cannot be read or is no document. */
export async function printHash(
  file: string,
  json: boolean,
  terminal: Terminal,
): Promise<ExitCode> {
  const hash = await versionHash(await readDocument(file, terminal));
  if (json) printJson(terminal, { version_hash: hash });
  else terminal.stdout(`${hash}\n`);
  return 0;
}

/** `state`; the exit code is that of `--once`, but for what concerns the master. */
export async function printState(
  { agent: options }: Configuration,
  json: boolean,
  terminal: Terminal,
): Promise<ExitCode> {
  // What GET /topology/state would answer does not concern the master.
  const agent = new Agent({ ...options, agentVersion, master: null });
  const beat = await agent.beat(AbortSignal.timeout(onceTimeoutMs));
  const { topology, store } = beat.body;
  const columns = json ? null : terminal.stdoutColumns();
  if (columns !== null) {
    // What a check does not need is not loaded for one.
    const { stateTree } = await import("./state_tree.ts");
    const look = { columns, isColoured: isColoured(terminal) };
    terminal.stdout(await stateTree(beat, options.images, look));
  } else if (!json) terminal.stdout(stateText(beat));
  else {
    printJson(terminal, topology);
    if (!topology) terminal.stderr(`decnet-agent: ${printable(store.detail ?? "")}\n`);
  }
  agent.close();
  return worst(findingsOf(beat));
}
