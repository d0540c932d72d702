import { call, type CallOptions, type Reply } from "../api_client.ts";
import { type Authority, writeAgentDirectory } from "../certificates.ts";
import type { TlsMaster } from "../tls_master.ts";
import { Host } from "./host.ts";

/** A host whose agent listens, and the master that may call it. */
export class ListeningHost implements AsyncDisposable {
  /** Starts the loop, which beats every 5 s and listens. */
  readonly flags: readonly string[];
  readonly #client: { authority: string; certificate: string; key: string };

  private constructor(
    readonly host: Host,
    readonly master: TlsMaster,
    readonly port: number,
    client: { authority: string; certificate: string; key: string },
  ) {
    this.flags = ["--interval=5s", `--listen=127.0.0.1:${port}`, ...host.flags(master)];
    this.#client = client;
  }

  static async create(): Promise<ListeningHost> {
    const host = await Host.create();
    const { master, authority } = await host.startMaster();
    const ipAddresses = ["127.0.0.1"];
    const worker = await authority.issue({ commonName: "host-1", ipAddresses });
    await writeAgentDirectory(host.agentDirectory, authority, worker);
    return new ListeningHost(host, master, freePort(), await masterIdentity(authority));
  }

  /** Calls the agent as the master. Throws `Error` when there is no answer. */
  call(path: string, options: CallOptions = {}): Promise<Reply> {
    return call(this.port, path, this.#client, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
  }
}

async function masterIdentity(authority: Authority) {
  const { certificatePem, keyPem } = await authority.issue({ commonName: "decnet-master" });
  return { authority: authority.certificatePem, certificate: certificatePem, key: keyPem };
}

/** A port that nobody has at this moment. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
