import { X509Certificate } from "node:crypto";
import { type ApiOptions, ApiServer, type ApiService } from "../api/mod.ts";
import type { LoadedIdentity } from "../api/renewal.ts";
import type { Identity } from "../api/tls_server.ts";
import { writeJson } from "../topology/mod.ts";
import {
  call,
  type CallOptions,
  Conversation,
  type Reply,
  serverFingerprint,
} from "./api_client.ts";
import type { Authority } from "./certificates.ts";
import { witness } from "./secrets.ts";
import { authority, certificatesOf, rogueAuthority } from "./master_setup.ts";

/** Who may call. */
export const master: Identity = await certificatesOf("decnet-master");
/** Another host's agent, which may not. */
export const worker: Identity = await certificatesOf("host-1");
/** Claims to be the master, and was made by somebody else. */
export const rogue: Identity = {
  ...await certificatesOf("decnet-master", rogueAuthority),
  authority: authority.certificatePem,
};

/** The certificates of an agent, who is called on this host. */
export async function agentIdentity(
  commonName: string,
  issuer: Authority = authority,
): Promise<Identity> {
  const names = { dnsNames: ["localhost"], ipAddresses: ["127.0.0.1", "::1"] };
  const { certificatePem, keyPem } = await issuer.issue({ commonName, ...names });
  return { authority: issuer.certificatePem, certificate: certificatePem, key: keyPem };
}

const agent = await agentIdentity("the agent");

/** A service that notes what it is asked, and does what it is told. */
export class RecordingService implements ApiService {
  readonly calls: string[] = [];
  /** Of each call for the state. */
  readonly signals: AbortSignal[] = [];
  /** Awaited before a call is answered; what it throws is thrown. */
  onCall: (call: string) => void | Promise<void> = () => {};

  async state(signal: AbortSignal): Promise<unknown> {
    this.signals.push(signal);
    await this.#note("state");
    return { topology_id: null };
  }

  async apply(
    hydrated: Parameters<ApiService["apply"]>[0],
    versionHash: string,
  ): Promise<void> {
    await this.#note(`apply ${writeJson({ ...hydrated })} ${versionHash}`);
  }

  async teardown(topologyId: string): Promise<void> {
    await this.#note(`teardown ${topologyId}`);
  }

  async #note(call: string): Promise<void> {
    this.calls.push(call);
    await this.onCall(call);
  }
}

/** An API on a free port of this host, and what came of it. */
export class ApiSetup implements AsyncDisposable {
  /** What has been logged. */
  readonly log: string[] = [];
  readonly service = new RecordingService();
  /** What lies on the disk. */
  loaded: LoadedIdentity = { certificates: agent, problem: null };
  #server: ApiServer | null = null;

  static async start(options: Partial<ApiOptions> = {}): Promise<ApiSetup> {
    const setup = new ApiSetup();
    setup.#server = await ApiServer.start(setup.service, {
      host: "127.0.0.1",
      port: 0,
      allowedNames: ["decnet-master"],
      certificates: () => Promise.resolve(setup.loaded),
      log: (level, message, fields = {}) => {
        setup.log.push(witness([level, message, ...Object.values(fields)].join(" ")));
      },
      ...options,
    });
    return setup;
  }

  get port(): number {
    return this.#server!.port;
  }

  /** Calls as the master. */
  call(path: string, options: CallOptions = {}): Promise<Reply> {
    return this.callAs(master, path, options);
  }

  callAs(client: Identity, path: string, options: CallOptions = {}): Promise<Reply> {
    return call(this.port, path, client, options);
  }

  post(path: string, body: unknown): Promise<Reply> {
    return this.call(path, { method: "POST", body });
  }

  talk(client: Partial<Identity> = master): Promise<Conversation> {
    return Conversation.open(this.port, client);
  }

  /** Resolves once a handshake shows this certificate. */
  async isUsed({ certificate }: Identity): Promise<void> {
    const expected = new X509Certificate(certificate).fingerprint256;
    while ((await serverFingerprint(this.port)) !== expected);
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
    this.#server = null;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
