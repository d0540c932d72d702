import type { Certificates } from "../../master/certificates.ts";
import { MasterClient, type MasterReply } from "../../master/client.ts";
import type { MasterAddress } from "../../master/connection.ts";
import { type Authority, createAuthority, type IssueOptions } from "./certificates.ts";
import { TlsMaster } from "./tls_master.ts";

/** The authority that the agents of the tests trust. */
export const authority: Authority = await createAuthority("test authority");
/** An authority of the same name that no agent trusts. */
export const rogueAuthority: Authority = await createAuthority("test authority");

/** Certificates of an agent as it would have read them from its folder. */
export async function certificatesOf(
  commonName: string,
  issuer: Authority = authority,
): Promise<Certificates> {
  const { certificatePem, keyPem } = await issuer.issue({ commonName, usage: "client" });
  const { certificatePem: trusted } = authority;
  return {
    authority: trusted,
    certificate: certificatePem,
    key: keyPem,
    validFrom: { at: 0, file: "" },
    validTo: { at: Infinity, file: "" },
  };
}

const worker = await certificatesOf("worker-1");
const serverName = "master.test";

/** How master and client differ from a pair that works. */
export interface MasterSetup {
  readonly issuer?: Authority;
  readonly certificate?: Partial<IssueOptions>;
  readonly address?: Partial<MasterAddress>;
  readonly port?: number;
}

/** Starts a master with a certificate for `master.test` and 127.0.0.1. */
export async function startMaster(
  { issuer = authority, certificate = {}, port = 0 }: MasterSetup = {},
): Promise<TlsMaster> {
  return await TlsMaster.start({
    authority,
    port,
    certificate: await issuer.issue({
      commonName: "the master",
      dnsNames: [serverName],
      ipAddresses: ["127.0.0.1"],
      usage: "server",
      ...certificate,
    }),
  });
}

/** How a heartbeat is posted in a test. */
interface PostOptions {
  readonly body?: string;
  readonly certificates?: Certificates;
  readonly signal?: AbortSignal;
  readonly connectTimeoutMs?: number;
  readonly timeoutMs?: number;
}

/** A client with the options of most tests filled in. */
export class TestClient implements Disposable {
  readonly #client: MasterClient;

  private constructor(client: MasterClient) {
    this.#client = client;
  }

  static to(
    { port }: { readonly port: number },
    address: Partial<MasterAddress> = {},
  ): TestClient {
    const full = { host: "127.0.0.1", port, name: serverName, fingerprint: null, ...address };
    return new TestClient(new MasterClient(full, "decnet-agent/test"));
  }

  post(options: PostOptions = {}): Promise<MasterReply> {
    const { body = "{}", certificates = worker, ...limits } = options;
    const signal = options.signal ?? new AbortController().signal;
    return this.#client.post("/swarm/heartbeat", body, certificates, signal, limits);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/** Defines tests, each with a master of its own and a client of it. */
export const onMaster = {
  test: (title: string, run: (master: TlsMaster, client: TestClient) => Promise<void>): void =>
    Deno.test(title, async () => {
      await using master = await startMaster();
      using client = await TestClient.to(master);
      await run(master, client);
    }),
};
