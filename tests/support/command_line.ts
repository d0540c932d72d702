import assert from "node:assert/strict";
import { type Configuration, configure } from "../../cli/config.ts";
import { run } from "../../cli/main.ts";
import type { KeyName } from "../../cli/options.ts";
import type { Environment, Terminal } from "../../cli/terminal.ts";
import type { AgentSetup } from "./agent_setup.ts";
import { assertNoSecrets } from "./secrets.ts";

/** The output and the exit code of a command line. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line in this process, on a machine without any files; `machine` overrides parts of it. */
export async function runOn(
  args: readonly string[],
  machine: Partial<Terminal> = {},
): Promise<Ended> {
  let [stdout, stderr] = ["", ""];
  const code = await run(args, {
    stdout: (text) => {
      stdout += assertNoSecrets(text);
      return null;
    },
    stderr: (text) => stderr += assertNoSecrets(text),
    readInput: () => Promise.reject(new Deno.errors.NotFound("no such file")),
    onReload: () => {},
    stopSignal: () => {
      const isChange = args.some((argument) => argument === "apply" || argument === "teardown");
      assert.ok(isChange, "only the service, apply and teardown may catch signals");
      return new AbortController().signal;
    },
    stderrIsTerminal: () => false,
    stdoutIsTerminal: () => false,
    executable: () => "/opt/decnet/decnet-agent",
    variable: () => undefined,
    readFile: () => null,
    exists: () => false,
    isRoot: true,
    ...machine,
  });
  return { code, stdout, stderr };
}

/** Returns the flags for the stand-ins of a host, with or without its master. */
export function flagsOf(
  setup: AgentSetup,
  { master = true, publish = "off" }: { master?: boolean; publish?: string } = {},
): string[] {
  const host = [`--agent-dir=${setup.path}`, `--state-dir=${setup.path}`]
    .concat(`--docker-host=unix://${setup.engine.socketPath}`, `--publish=${publish}`);
  const address = ["--master-host=127.0.0.1", `--swarmctl-port=${setup.port}`]
    .concat("--master-name=master.test", "--host-uuid=host-1");
  return master ? [...host, ...address] : host;
}

/** The parts of a machine that the configuration depends on. */
export interface Machine {
  readonly flags?: Record<string, string>;
  readonly variables?: Record<string, string>;
  /** The text of the ini file; null when there is none. */
  readonly ini?: string | null;
  readonly config?: string | null;
  /** Other files, by their paths. */
  readonly files?: Readonly<Record<string, string>>;
  readonly existing?: readonly string[];
  readonly isRoot?: boolean;
}

/** Returns the configuration of a machine. Throws what `configure` throws. */
export function configureOn(machine: Machine): Configuration {
  const { flags = {}, variables = {}, ini = null, config = null, files = {} } = machine;
  const { existing = [], isRoot = true } = machine;
  const environment: Environment = {
    variable: (name) => variables[name],
    readFile: (path) => path === (config ?? "/etc/decnet/decnet.ini") ? ini : files[path] ?? null,
    exists: (path) => existing.includes(path),
    isRoot,
  };
  return configure(new Map(Object.entries(flags) as [KeyName, string][]), config, environment);
}

/** Returns an ini file with these lines in the section of the agent. */
export function section(...lines: string[]): string {
  return ["[agent]", ...lines].join("\n");
}
