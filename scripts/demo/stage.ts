import { configure, parseArguments, run, type Terminal } from "../../cli/mod.ts";
import { agentVersion } from "../../cli/version.ts";
import { createAuthority, writeAgentDirectory } from "../../tests/certificates.ts";
import { topologyLabel } from "../../topology/mod.ts";
import { LoopingAgent } from "./looping_agent.ts";
import type { Detail, Narrator } from "./narrator.ts";
import { StandInMaster } from "./stand_in_master.ts";

/** Where the agent looks for the engine's socket depends on them. */
const engineVariables: readonly string[] = ["DOCKER_HOST", "XDG_RUNTIME_DIR"];

/** What the stage is built from. */
export interface StageOptions {
  /** For certificates and, if there is one, the store. */
  readonly folder: string;
  readonly narrator: Narrator;
  /** Ends all waiting. */
  readonly signal: AbortSignal;
  /** Takes an error that comes up where nobody waits. */
  readonly onError: (error: unknown) => void;
  /** The path of the engine's socket; null for where the agent looks by itself. */
  readonly socket: string | null;
}

/** The agent and a master to report to. */
export class Stage implements AsyncDisposable {
  readonly narrator: Narrator;
  readonly master: StandInMaster;
  readonly agent: LoopingAgent;
  /** What the agent takes for its own, in words. */
  readonly selection: readonly Detail[];
  readonly #flags: readonly string[];

  private constructor(options: StageOptions, master: StandInMaster, flags: readonly string[]) {
    this.narrator = options.narrator;
    this.master = master;
    this.#flags = flags;
    // As on a command line; there is no flag for an interval as short as the demo's.
    const { values, config } = parseArguments(flags);
    const { agent } = configure(values, config, terminal());
    this.selection = [
      ["networks", agent.networkPrefixes.map((it) => `${it}*`).join(", ")],
      ["containers", agent.containerPrefixes.map((it) => `${it}*`).join(", ")],
      ["both", `with the label ${topologyLabel}`],
    ];
    this.agent = new LoopingAgent({ ...agent, agentVersion }, options);
  }

  /** Makes an authority and its certificates, starts the master, and prepares the agent. */
  static async open(options: StageOptions): Promise<Stage> {
    const { folder, signal, socket } = options;
    const authority = await createAuthority("demo authority");
    const hostUuid = "demo-host";
    const worker = await authority.issue({ commonName: hostUuid, usage: "client" });
    await writeAgentDirectory(folder, authority, worker);
    const master = await StandInMaster.create(authority, signal);
    await master.start();
    try {
      return new Stage(options, master, [
        "--master-host=127.0.0.1",
        `--swarmctl-port=${master.port}`,
        `--host-uuid=${hostUuid}`,
        `--agent-dir=${folder}`,
        `--state-dir=${folder}`,
        ...(socket === null ? [] : [`--docker-host=unix://${socket}`]),
      ]);
    } catch (error) {
      await master.stop();
      throw error;
    }
  }

  /** Runs `decnet-agent --once`; answers its exit code and what it has printed. */
  async runOnce(): Promise<{ code: number; output: string }> {
    let output = "";
    const write = (text: string) => output += text;
    const code = await run(["--once", ...this.#flags], terminal(write));
    return { code, output: output.trimEnd() };
  }

  /** Stops the agent, then the master. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.agent.stop();
    } finally {
      await this.master.stop();
    }
  }
}

/** The command's surroundings, without what this host is configured to, but for its engine. */
function terminal(write: (text: string) => void = () => {}): Terminal {
  return {
    stdout: write,
    stderr: write,
    readInput: (path) => Deno.readFile(path),
    stopSignal: () => new AbortController().signal,
    variable: (name) => engineVariables.includes(name) ? Deno.env.get(name) : undefined,
    readFile: () => null,
    exists: () => false,
    isRoot: false,
  };
}
