import type { BeatBody } from "../../agent/mod.ts";
import type { Authority, IssuedCertificate } from "../../tests/certificates.ts";
import { TlsMaster } from "../../tests/tls_master.ts";
import { Arrivals } from "./arrivals.ts";
import { essence } from "./beat_text.ts";

/** A beat that the master has received and accepted. */
export interface Receipt {
  /** Counted from 1 over all the times that the master ran. */
  readonly number: number;
  /** The common name of the certificate that the sender has proved to own. */
  readonly sender: string;
  readonly body: BeatBody;
}

/** The master, as far as a beat goes: it comes, goes, and remembers what it has received. */
export class StandInMaster {
  readonly received: Arrivals<Receipt>;
  readonly #authority: Authority;
  readonly #certificate: IssuedCertificate;
  #server: TlsMaster | null = null;
  #port = 0;
  #count = 0;

  private constructor(authority: Authority, certificate: IssuedCertificate, signal: AbortSignal) {
    this.#authority = authority;
    this.#certificate = certificate;
    this.received = new Arrivals(signal, essence);
  }

  /** A master that has not started, with a certificate of its own; `signal` ends all waiting. */
  static async create(authority: Authority, signal: AbortSignal): Promise<StandInMaster> {
    const options = { commonName: "demo-master", ipAddresses: ["127.0.0.1"] };
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
      const { body, clientCommonName } = server.beats.at(-1)!;
      this.received.add({
        number: ++this.#count,
        sender: clientCommonName,
        body: body as BeatBody,
      });
      return { status: 204 };
    };
    this.#server = server;
    this.#port = server.port;
  }

  /** Is gone at once, with all its connections. */
  async stop(): Promise<void> {
    await this.#server?.stop();
    this.#server = null;
  }
}
