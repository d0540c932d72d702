import type { HeartbeatBody } from "../../agent/heartbeat.ts";
import { call, type Reply } from "../../tests/support/api_setup.ts";
import type { Authority, IssuedCertificate } from "../../tests/support/certificates.ts";
import { TlsMaster } from "../../tests/support/tls_master.ts";
import { Arrivals } from "./arrivals.ts";
import { essence, type Receipt } from "./beat_text.ts";
import type { PushedDocument } from "./document.ts";

/** How long a push may take; masters wait longer. */
const callTimeoutMs = 120_000;

/** The master: it comes, goes, remembers the beats it has received, and calls the agent. */
export class StandInMaster {
  readonly received: Arrivals<Receipt>;
  readonly #authority: Authority;
  readonly #certificate: IssuedCertificate;
  readonly #signal: AbortSignal;
  #server: TlsMaster | null = null;
  #port = 0;
  #count = 0;

  private constructor(authority: Authority, certificate: IssuedCertificate, signal: AbortSignal) {
    this.#authority = authority;
    this.#certificate = certificate;
    this.#signal = signal;
    this.received = new Arrivals(signal, essence);
  }

  /** A master that has not started, with a certificate of its own; `signal` ends all waiting. */
  static async create(authority: Authority, signal: AbortSignal): Promise<StandInMaster> {
    const options = { commonName: "decnet-master", ipAddresses: ["127.0.0.1"] };
    return new StandInMaster(authority, await authority.issue(options), signal);
  }

  /** Known once it has started; then it stays the same. */
  get port(): number {
    return this.#port;
  }

  /** How many beats have come. */
  get count(): number {
    return this.#count;
  }

  /** Listens, and forgets which beats it has received before. */
  async start(): Promise<void> {
    this.received.clear();
    const server = await TlsMaster.start({
      authority: this.#authority,
      certificate: this.#certificate,
      port: this.#port,
    });
    server.answer = () => {
      const { body, clientCommonName } = server.heartbeats.at(-1)!;
      this.received.add({
        number: ++this.#count,
        sender: clientCommonName,
        body: body as HeartbeatBody,
      });
      return { status: 204 };
    };
    this.#server = server;
    this.#port = server.port;
  }

  /** Pushes a document to the agent at this port. Throws `Error` when it is not applied. */
  async push(port: number, { text, versionHash }: PushedDocument): Promise<void> {
    const body = `{"hydrated":${text},"version_hash":"${versionHash}"}`;
    await this.#succeed(port, "/topology/apply", body);
  }

  /** Has the agent at this port tear a topology down. Throws `Error` when it does not. */
  async tearDown(port: number, topologyId: string): Promise<void> {
    await this.#succeed(port, "/topology/teardown", { topology_id: topologyId });
  }

  async #succeed(port: number, path: string, body: unknown): Promise<void> {
    const reply = await callAgent(port, path, {
      body,
      authority: this.#authority,
      certificate: this.#certificate,
      signal: this.#signal,
    });
    if (reply.status === 200) return;
    throw new Error(`the agent answered ${reply.status}: ${JSON.stringify(reply.body)}`);
  }

  /** Is gone at once, with all its connections. */
  async stop(): Promise<void> {
    await this.#server?.stop();
    this.#server = null;
  }
}

/** Calls the agent at a port of this host, over mutual TLS. Throws `Error` when no answer comes. */
export async function callAgent(
  port: number,
  path: string,
  { body, authority, certificate: { certificatePem, keyPem }, signal }: {
    body: unknown;
    authority: Authority;
    certificate: IssuedCertificate;
    signal: AbortSignal;
  },
): Promise<Reply> {
  const caller = { authority: authority.certificatePem, certificate: certificatePem, key: keyPem };
  const limit = AbortSignal.any([signal, AbortSignal.timeout(callTimeoutMs)]);
  try {
    return await call(port, path, caller, { method: "POST", body, signal: limit });
  } catch (error) {
    limit.throwIfAborted(); // It says why, and the error only that.
    throw error;
  }
}
