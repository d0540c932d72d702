import { parseArguments } from "../../cli/args.ts";
import { type Configuration, configure } from "../../cli/config.ts";
import { run } from "../../cli/main.ts";
import type { Terminal } from "../../cli/terminal.ts";
import type { Reply } from "../../tests/support/api_setup.ts";
import {
  type Authority,
  createAuthority,
  writeAgentDirectory,
} from "../../tests/support/certificates.ts";
import { topologyLabel } from "../../topology/inventory.ts";
import { LoopingAgent, type Pace } from "./looping_agent.ts";
import type { Detail, Narrator } from "./narrator.ts";
import { callAgent, StandInMaster } from "./stand_in_master.ts";

/** Where the agent looks for the engine's socket depends on them. */
const engineVariables: readonly string[] = ["DOCKER_HOST", "XDG_RUNTIME_DIR"];

/** What the stage is built from. */
interface StageOptions {
  /** For certificates and, if there is one, the store. */
  readonly folder: string;
  readonly narrator: Narrator;
  /** Ends all waiting. */
  readonly signal: AbortSignal;
  /** Takes an error that comes up where nobody waits. */
  readonly onError: (error: unknown) => void;
  readonly pace: Pace;
  /** How long to wait for a beat that is due, in milliseconds. */
  readonly patienceMs: number;
  /** The agent's flags that lead to the host; none for where the agent looks by itself. */
  readonly flags?: readonly string[];
  /** Whether the master may push. */
  readonly listens?: boolean;
}

/** The agent and a master to report to. */
export class Stage implements AsyncDisposable {
  readonly narrator: Narrator;
  readonly master: StandInMaster;
  readonly agent: LoopingAgent;
  /** What the agent takes for its own, in words. */
  readonly selection: readonly Detail[];
  readonly patienceMs: number;
  readonly #authority: Authority;
  readonly #signal: AbortSignal;
  readonly #flags: readonly string[];
  #onceCount = 0;

  private constructor(
    options: StageOptions,
    { master, authority, flags }: {
      master: StandInMaster;
      authority: Authority;
      flags: readonly string[];
    },
  ) {
    this.narrator = options.narrator;
    this.patienceMs = options.patienceMs;
    this.master = master;
    this.#authority = authority;
    this.#signal = options.signal;
    this.#flags = flags;
    const configuration = configurationOf(flags);
    const { agent } = configuration;
    this.selection = [
      ["networks", agent.networkPrefixes.map((it) => `${it}*`).join(", ")],
      ["containers", agent.containerPrefixes.map((it) => `${it}*`).join(", ")],
      ["both", `with the label ${topologyLabel}`],
    ];
    this.agent = new LoopingAgent(configuration, options);
  }

  /** Makes an authority and its certificates, starts the master, and prepares the agent. */
  static async open(options: StageOptions): Promise<Stage> {
    const { folder, signal, flags = [], listens = false } = options;
    const authority = await createAuthority("demo authority");
    const hostUuid = "demo-host";
    const worker = await authority.issue({ commonName: hostUuid, ipAddresses: ["127.0.0.1"] });
    await writeAgentDirectory(folder, authority, worker);
    const master = await StandInMaster.create(authority, signal);
    await master.start();
    try {
      const all = [
        "--master-host=127.0.0.1",
        `--swarmctl-port=${master.port}`,
        `--host-uuid=${hostUuid}`,
        `--agent-dir=${folder}`,
        `--state-dir=${folder}`,
        ...(listens ? ["--listen=127.0.0.1:8765"] : []),
        ...flags,
      ];
      return new Stage(options, { master, authority, flags: all });
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
    this.#onceCount++;
    return { code, output: output.trimEnd() };
  }

  /** How often `--once` was run: those beats are not the loop's. */
  get onceCount(): number {
    return this.#onceCount;
  }

  /** Calls the agent as another host's agent, whose certificate is as good as its own. */
  async callAsNeighbour(path: string, body: unknown): Promise<Reply> {
    const authority = this.#authority;
    const certificate = await authority.issue({ commonName: "neighbour-host" });
    const options = { authority, certificate, body, signal: this.#signal };
    return await callAgent(this.agent.port, path, options);
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

/** As on a command line; there is no flag for looks as frequent as the demo's. */
export function configurationOf(flags: readonly string[]): Configuration {
  const { values, config } = parseArguments(flags);
  return configure(values, config, terminal());
}

/** Where the agent looks for this machine's engine by itself. */
export function engineSockets(): readonly string[] {
  return configure(new Map(), null, terminal()).agent.sockets;
}

/** The command's surroundings, without what this host is configured to, but for its engine. */
function terminal(write: (text: string) => void = () => {}): Terminal {
  return {
    stdout: (text) => {
      write(text);
      return "written";
    },
    stderr: write,
    readInput: (path) => Deno.readFile(path),
    onReload: () => {},
    stopSignal: () => new AbortController().signal,
    variable: (name) => engineVariables.includes(name) ? Deno.env.get(name) : undefined,
    readFile: () => null,
    exists: () => false,
    isRoot: false,
    columns: () => null,
    stdoutColumns: () => null,
    executable: () => Deno.execPath(),
  };
}
