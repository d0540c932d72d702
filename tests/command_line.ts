import assert from "node:assert/strict";
import { run, type Terminal } from "../cli/mod.ts";
import type { AgentSetup } from "./agent_setup.ts";
import { witness } from "./secrets.ts";

/** What a command line has printed, and how it ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line in this process, on a machine with nothing on it but what is told. */
export async function runOn(
  args: readonly string[],
  machine: Partial<Terminal> = {},
): Promise<Ended> {
  let [stdout, stderr] = ["", ""];
  const code = await run(args, {
    stdout: (text) => {
      stdout += witness(text);
      return "written";
    },
    stderr: (text) => stderr += witness(text),
    readInput: () => Promise.reject(new Deno.errors.NotFound("no such file")),
    onReload: () => {},
    stopSignal: () => {
      const isChange = args.some((argument) => argument === "apply" || argument === "teardown");
      assert.ok(isChange, "besides the loop only an apply and a teardown may catch signals");
      return new AbortController().signal;
    },
    columns: () => null,
    stdoutColumns: () => null,
    executable: () => "/opt/decnet/decnet-agent",
    variable: () => undefined,
    readFile: () => null,
    exists: () => false,
    isRoot: true,
    ...machine,
  });
  return { code, stdout, stderr };
}

/** The flags that lead to the stand-ins of a host, with or without its master. */
export function flagsOf(setup: AgentSetup, { master = true } = {}): string[] {
  const host = [`--agent-dir=${setup.path}`, `--state-dir=${setup.path}`]
    .concat(`--docker-host=unix://${setup.engine.socketPath}`);
  const address = ["--master-host=127.0.0.1", `--swarmctl-port=${setup.port}`]
    .concat("--master-name=master.test", "--host-uuid=host-1");
  return master ? [...host, ...address] : host;
}
