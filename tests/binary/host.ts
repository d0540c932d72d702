import { FakeEngine } from "../engine/mod.ts";
import {
  type Authority,
  createAuthority,
  type IssueOptions,
  writeAgentDirectory,
} from "../certificates.ts";
import { witness } from "../secrets.ts";
import { TlsMaster } from "../tls_master.ts";

/** The executable under test; `task test` compiles it first. */
export const binary = new URL("../../dist/decnet-agent", import.meta.url).pathname;

/** How a run of the executable ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly elapsedMs: number;
}

/** A host of its own in a temporary folder: a socket, a state folder and certificates. */
export class Host implements AsyncDisposable {
  readonly socket: string;
  readonly stateDirectory: string;
  readonly agentDirectory: string;
  readonly #disposables: AsyncDisposable[] = [];

  private constructor(readonly folder: string) {
    this.socket = `${folder}/docker.sock`;
    this.stateDirectory = `${folder}/state`;
    this.agentDirectory = `${folder}/agent`;
  }

  static async create(): Promise<Host> {
    return new Host(await Deno.makeTempDir({ prefix: "decnet-binary-" }));
  }

  get storePath(): string {
    return `${this.stateDirectory}/topology.db`;
  }

  /** Starts a stand-in engine on this host's socket. */
  async startEngine(): Promise<FakeEngine> {
    const engine = await FakeEngine.start(this.socket);
    this.#disposables.push(engine);
    return engine;
  }

  /**
   * Starts a master that trusts the certificates which this host gets; `validity` is that of its own.
   */
  async startMaster(
    validity: Pick<IssueOptions, "notBefore" | "notAfter"> = {},
  ): Promise<{ master: TlsMaster; authority: Authority }> {
    const authority = await createAuthority("test authority");
    const server = { commonName: "master", dnsNames: ["master.test"], usage: "server" } as const;
    const certificate = await authority.issue({
      ...server,
      dnsNames: [...server.dnsNames],
      ...validity,
    });
    const master = await TlsMaster.start({ authority, certificate });
    this.#disposables.push(master);
    await Deno.mkdir(this.agentDirectory, { recursive: true });
    const worker = await authority.issue({ commonName: "host-1", usage: "client" });
    await writeAgentDirectory(this.agentDirectory, authority, worker);
    return { master, authority };
  }

  /** The flags by which the agent finds this host, and nothing of the machine around it. */
  flags(master?: TlsMaster): string[] {
    return [
      `--docker-host=unix://${this.socket}`,
      `--state-dir=${this.stateDirectory}`,
      `--agent-dir=${this.agentDirectory}`,
      ...(master
        ? [
          "--master-host=127.0.0.1",
          `--swarmctl-port=${master.port}`,
          "--master-name=master.test",
          "--host-uuid=11111111-aaaa-4bbb-8ccc-222222222222",
        ]
        : []),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const disposable of this.#disposables) await disposable[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Starts the executable with an environment that holds nothing of this one but the PATH. */
export function spawn(
  args: readonly string[],
  { env = {}, wrapper = [] }: { env?: Record<string, string>; wrapper?: readonly string[] } = {},
): Deno.ChildProcess {
  const [program, ...rest] = [...wrapper, binary, ...args] as [string, ...string[]];
  return new Deno.Command(program, {
    args: rest,
    // Without a HOME, the runtime looks the user up, for which the C library asks nscd.
    env: { PATH: Deno.env.get("PATH") ?? "", HOME: "/nonexistent", ...env },
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs the executable to its end. */
export async function execute(
  args: readonly string[],
  options: { env?: Record<string, string>; wrapper?: readonly string[] } = {},
): Promise<Ended> {
  const startedAt = performance.now();
  const { code, stdout, stderr } = await spawn(args, options).output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: witness(decoder.decode(stdout)),
    stderr: witness(decoder.decode(stderr)),
    elapsedMs: performance.now() - startedAt,
  };
}
