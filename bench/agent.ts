import { createAuthority, writeAgentDirectory } from "../tests/support/certificates.ts";
import { TlsMaster } from "../tests/support/tls_master.ts";

/** Starts a master on the loopback, and writes certificates of a host into each of these folders. */
export async function startMaster(
  folders: readonly string[],
  keepAliveMs = 60_000,
): Promise<TlsMaster> {
  const authority = await createAuthority("bench");
  const names = { commonName: "master", dnsNames: ["master.test"] };
  const certificate = await authority.issue({ ...names, usage: "server" });
  for (const [host, folder] of folders.entries()) {
    await Deno.mkdir(folder, { recursive: true });
    const worker = await authority.issue({ commonName: `host-${host}`, usage: "client" });
    await writeAgentDirectory(folder, authority, worker);
  }
  return await TlsMaster.start({ authority, certificate, keepAliveMs });
}

/**
 * Starts the compiled agent in a process of its own, with certificates and state in `folder`; without a
 * master where `port` is null.
 */
export function startAgent(
  program: string,
  folder: string,
  { port, socket, interval = "30s" }: {
    port: string | number | null;
    socket: string;
    interval?: string;
  },
  ...more: readonly string[]
): Deno.ChildProcess {
  return new Deno.Command(program, {
    args: [
      ...(port === null ? [] : masterFlags(port, folder)),
      `--interval=${interval}`,
      ...[`--state-dir=${folder}/state`, `--docker-host=unix://${socket}`, ...more],
    ],
    clearEnv: true,
    ...{ stdin: "null", stdout: "null", stderr: "null" } as const,
  }).spawn();
}

/** Returns the flags that make the agent report to a master, with the certificates in `folder`. */
export function masterFlags(port: string | number, folder: string): string[] {
  return [
    ...["--master-host=127.0.0.1", "--master-name=master.test", `--swarmctl-port=${port}`],
    ...["--host-uuid=bench", `--agent-dir=${folder}`],
  ];
}

/** The compiled agent with a master of its own. */
export class ListeningAgent implements AsyncDisposable {
  private constructor(readonly master: TlsMaster, readonly process: Deno.ChildProcess) {}

  /** Starts `program`; `prefix` begins the names of the Docker objects that it manages. */
  static async start(
    program: string,
    folder: string,
    { prefix, ...flags }: { prefix: string; socket: string; interval?: string },
  ): Promise<ListeningAgent> {
    const master = await startMaster([folder]);
    const prefixes = [`--container-prefix=${prefix}`, `--network-prefix=${prefix}`];
    const options = { ...flags, port: master.port };
    return new ListeningAgent(master, startAgent(program, folder, options, ...prefixes));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGTERM");
    await this.process.status;
    await this.master.stop();
  }
}
