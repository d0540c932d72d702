import { createAuthority, writeAgentDirectory } from "../tests/support/certificates.ts";
import { TlsMaster } from "../tests/support/tls_master.ts";

/** How an agent is set up. */
interface AgentWish {
  /** The executable. */
  readonly program: string;
  /** A folder of its own, which exists. */
  readonly folder: string;
  readonly socket: string;
  /** How its containers and networks are called. */
  readonly prefix: string;
  readonly interval?: string;
}

/** The compiled agent's loop in a process of its own, and a master of its own on the loopback. */
export class ListeningAgent implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;

  private constructor(readonly master: TlsMaster, process: Deno.ChildProcess) {
    this.#process = process;
  }

  static async start(
    { program, folder, socket, prefix, interval = "30s" }: AgentWish,
  ): Promise<ListeningAgent> {
    const authority = await createAuthority("bench");
    const names = { commonName: "master", dnsNames: ["master.test"] };
    const certificate = await authority.issue({ ...names, usage: "server" });
    const master = await TlsMaster.start({ authority, certificate });
    const worker = await authority.issue({ commonName: "bench", usage: "client" });
    await writeAgentDirectory(folder, authority, worker);
    const process = new Deno.Command(program, {
      args: [
        ...["--master-host=127.0.0.1", "--master-name=master.test", "--host-uuid=bench"],
        ...[`--swarmctl-port=${master.port}`, `--agent-dir=${folder}`, `--interval=${interval}`],
        ...[`--state-dir=${folder}/state`, `--docker-host=unix://${socket}`],
        ...[`--container-prefix=${prefix}`, `--network-prefix=${prefix}`],
      ],
      clearEnv: true,
      env: { HOME: folder },
      ...{ stdin: "null", stdout: "null", stderr: "null" } as const,
    }).spawn();
    return new ListeningAgent(master, process);
  }

  get pid(): number {
    return this.#process.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGTERM");
    await this.#process.status;
    await this.master.stop();
  }
}
