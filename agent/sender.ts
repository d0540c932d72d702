import {
  CertificateFolder,
  type Certificates,
  hostAndPort,
  type MasterAddress,
  MasterClient,
  parseRetryAfter,
} from "../master/mod.ts";
import { type Delivery, refusal } from "./delivery.ts";
import { type ValidityProblem, validityProblem } from "./validity.ts";

const beatPath = "/swarm/heartbeat";

/** To whom beats are sent, and as whom. */
export interface SenderOptions {
  readonly agentVersion: string;
  readonly master: MasterAddress;
  /** The folder of the certificates. */
  readonly agentDirectory: string;
  /** The same folder, where it has been read before. */
  readonly certificates?: CertificateFolder;
}

/** What is known of the certificates. */
export interface CertificateReport {
  /** When the first of them expires, in milliseconds since 1970; null when none can be used. */
  readonly expiresAt: number | null;
  /** What an operator must mend, or null. */
  readonly problem: string | null;
  /** Stays the same as long as the problem does, which may tell the time; absent: the problem. */
  readonly problemId?: string;
}

/** How sending ended, and what is known of the certificates that it takes. */
export interface Sending {
  readonly delivery: Delivery;
  readonly certificates: CertificateReport;
}

/** Sends beats to the master. */
export class Sender {
  readonly #options: SenderOptions;
  readonly #url: string;
  readonly #certificates: CertificateFolder;
  #client: MasterClient | null = null;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#url = `https://${hostAndPort(options.master)}${beatPath}`;
    this.#certificates = options.certificates ?? new CertificateFolder(options.agentDirectory);
  }

  /**
   * Sends a beat that was made at `checkedAt`, unless `dryRun`. What fails becomes part of the answer.
   */
  async send(
    body: string,
    { checkedAt, dryRun, signal }: { checkedAt: number; dryRun: boolean; signal: AbortSignal },
  ): Promise<Sending> {
    const url = this.#url;
    try {
      const { certificates, problem } = await this.#certificates.load();
      return {
        certificates: {
          expiresAt: certificates.validTo.at,
          ...problemsOf(problem, validityProblem(certificates, checkedAt)),
        },
        delivery: dryRun
          ? { result: "dry_run", url }
          : await this.#post(body, certificates, signal),
      };
    } catch (error) {
      const problem = (error as Error).message;
      return { certificates: { expiresAt: null, problem }, delivery: this.#notSent(problem) };
    }
  }

  /** Closes the connection to the master. */
  close(): void {
    this.#client?.close();
  }

  async #post(body: string, certificates: Certificates, signal: AbortSignal): Promise<Delivery> {
    const { master, agentVersion } = this.#options;
    this.#client ??= await MasterClient.create(master, `decnet-agent/${agentVersion}`);
    if (signal.aborted) return this.#notSent("no time was left to send the beat");
    const startedAt = performance.now();
    try {
      const reply = await this.#client.post(beatPath, body, certificates, signal);
      const error = refusal(reply);
      return {
        result: error === null ? "delivered" : "rejected",
        url: this.#url,
        httpStatus: reply.status,
        latencyMs: performance.now() - startedAt,
        retryAfterMs: error === null ? null : parseRetryAfter(reply.retryAfter, Date.now()),
        error,
      };
    } catch (error) {
      const latencyMs = performance.now() - startedAt;
      return { ...this.#notSent((error as Error).message), latencyMs };
    }
  }

  #notSent(error: string) {
    const nothing = { httpStatus: null, latencyMs: null, retryAfterMs: null };
    return { result: "unreachable", url: this.#url, ...nothing, error } as const;
  }
}

/** Of certificates that stay in use, as newer ones are of no use, it matters all the more how long. */
function problemsOf(
  ofNewer: string | null,
  validity: ValidityProblem | null,
): Pick<CertificateReport, "problem" | "problemId"> {
  if (ofNewer === null || validity === null) return validity ?? { problem: ofNewer };
  const inUse = (text: string) => `${ofNewer}; of those that stay in use, ${text}`;
  return { problem: inUse(validity.problem), problemId: inUse(validity.problemId) };
}
