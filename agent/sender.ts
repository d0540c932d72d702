import { hostAndPort, timeOf } from "../host/log.ts";
import { CertificateFolder, type Certificates } from "../master/certificates.ts";
import { MasterClient, type MasterReply, parseRetryAfter } from "../master/client.ts";
import type { MasterAddress } from "../master/connection.ts";

/** Certificates that expire within this time bring a warning, in milliseconds. */
const expiryWarningMs = 30 * 24 * 60 * 60 * 1000;
/** Within this time the warning has the hour, too. */
const nearMs = 2 * 24 * 60 * 60 * 1000;

/** Why certificates cannot be used, or not for long. */
export interface ValidityProblem {
  readonly problem: string;
  /** Identifies the problem: unlike `problem` it never has the current time. */
  readonly problemId: string;
}

/** Returns why certificates are not valid at `now`, or not for long; null when they are. */
export function validityProblem(
  { validFrom, validTo }: Certificates,
  now: number,
): ValidityProblem | null {
  const clock = `this host's clock says ${timeOf(now)}`;
  const end = timeOf(validTo.at);
  if (validFrom.at > now) {
    const problemId = `${validFrom.file} is not valid before ${timeOf(validFrom.at)}`;
    const advice = "set the clock if it is wrong";
    return { problem: `${problemId} (then until ${end}), and ${clock}; ${advice}`, problemId };
  }
  const leftMs = validTo.at - now;
  if (leftMs > expiryWarningMs) return null;
  if (leftMs > 0) {
    const when = leftMs < nearMs ? `at ${end}` : `on ${end.slice(0, 10)}`;
    const problem = `${validTo.file} expires ${when}; renew it`;
    return { problem, problemId: problem };
  }
  const problemId = `${validTo.file} has expired at ${end}`;
  const advice = "renew it, or set the clock if it is wrong";
  return { problem: `${problemId}, and ${clock}; ${advice}`, problemId };
}

/** How the sending of a heartbeat ended. */
export interface SendResult {
  readonly kind: "not_configured" | "dry_run" | "delivered" | "rejected" | "unreachable";
  /** Null without a master. */
  readonly url: string | null;
  /** Null when no answer came. */
  readonly httpStatus: number | null;
  /** Null when nothing was sent. */
  readonly latencyMs: number | null;
  /** How long the master asked to wait, in milliseconds, or null. */
  readonly retryAfterMs: number | null;
  /** Why it was not delivered although it should be, or null. */
  readonly error: string | null;
}

/** Returns why the master did not accept a heartbeat, or null when it did: any 2xx accepts. */
export function rejectionReason({ status, text }: MasterReply): string | null {
  if (status >= 200 && status < 300) return null;
  const words = text.replace(/\s+/g, " ").trim();
  const meaning = status >= 300 && status < 400 ? "redirects are not followed" : meanings[status];
  const parts = [`the master answered ${status}`, meaning, words && `"${words}"`];
  return parts.filter((part) => part).join(": ");
}

/**
 * Returns true when the master did not answer, or answered with 429 or 5xx. Later heartbeats do not
 * change other rejections, so those keep the interval.
 */
export function wantsBackoff(result: SendResult): boolean {
  if (result.kind === "unreachable") return result.latencyMs !== null;
  if (result.kind !== "rejected") return false;
  return result.httpStatus === 429 || result.httpStatus! >= 500;
}

const misunderstood = "it does not understand the heartbeat; one of the two may be too old";
const meanings: Readonly<Record<number, string>> = {
  400: misunderstood,
  403: "worker.crt is not the certificate pinned to this host-uuid; enrol this host again",
  404: "it does not know this host-uuid; enrol this host, or see host-uuid",
  422: misunderstood,
};

const heartbeatPath = "/swarm/heartbeat";

/** To which master heartbeats are sent, and as which host. */
interface SenderOptions {
  readonly agentVersion: string;
  readonly master: MasterAddress;
  /** The folder of the certificates. */
  readonly agentDirectory: string;
  /** The certificates of that folder, where they have been read before. */
  readonly certificates?: CertificateFolder | undefined;
}

/** Until when the certificates are valid, and what is wrong with them. */
export interface CertificateReport {
  /** When the first of them expires, in milliseconds since 1970; null when none can be used. */
  readonly expiresAt: number | null;
  /** What an operator must fix, or null. */
  readonly problem: string | null;
  /** Identifies the problem when its text has the current time; absent: the text does. */
  readonly problemId?: string;
}

/** Sends heartbeats to the master. */
export class Sender {
  readonly #options: SenderOptions;
  readonly #url: string;
  readonly #certificates: CertificateFolder;
  #client: MasterClient | null = null;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#url = `https://${hostAndPort(options.master)}${heartbeatPath}`;
    this.#certificates = options.certificates ?? new CertificateFolder(options.agentDirectory);
  }

  /**
   * Sends a heartbeat that was made at `checkedAt`, unless `dryRun`. Errors become part of the report.
   * Never throws.
   */
  async send(
    body: string,
    { checkedAt, dryRun, signal }: { checkedAt: number; dryRun: boolean; signal: AbortSignal },
  ): Promise<{ result: SendResult; certificates: CertificateReport }> {
    try {
      const { certificates, problem } = await this.#certificates.load();
      return {
        certificates: {
          expiresAt: certificates.validTo.at,
          ...problemsOf(problem, validityProblem(certificates, checkedAt)),
        },
        result: dryRun
          ? { ...notSent, kind: "dry_run", url: this.#url, error: null }
          : await this.#post(body, certificates, signal),
      };
    } catch (error) {
      const problem = (error as Error).message;
      return { certificates: { expiresAt: null, problem }, result: this.#unreachable(problem) };
    }
  }

  /** Closes the connection to the master. */
  close(): void {
    this.#client?.close();
  }

  async #post(body: string, certificates: Certificates, signal: AbortSignal): Promise<SendResult> {
    const { master, agentVersion } = this.#options;
    this.#client ??= new MasterClient(master, `decnet-agent/${agentVersion}`);
    if (signal.aborted) return this.#unreachable("no time was left to send the heartbeat");
    const startedAt = performance.now();
    try {
      const reply = await this.#client.post(heartbeatPath, body, certificates, signal);
      const error = rejectionReason(reply);
      return {
        kind: error === null ? "delivered" : "rejected",
        url: this.#url,
        httpStatus: reply.status,
        latencyMs: performance.now() - startedAt,
        retryAfterMs: error === null ? null : parseRetryAfter(reply.retryAfter, Date.now()),
        error,
      };
    } catch (error) {
      const latencyMs = performance.now() - startedAt;
      return { ...this.#unreachable((error as Error).message), latencyMs };
    }
  }

  #unreachable(error: string): SendResult {
    return { ...notSent, kind: "unreachable", url: this.#url, error };
  }
}

const notSent = { httpStatus: null, latencyMs: null, retryAfterMs: null } as const;

/** Joins why newer certificates cannot be used and why those in use are not valid for long. */
function problemsOf(
  ofNewer: string | null,
  validity: ValidityProblem | null,
): Pick<CertificateReport, "problem" | "problemId"> {
  if (ofNewer === null || validity === null) return validity ?? { problem: ofNewer };
  const inUse = (text: string) => `${ofNewer}; of those that stay in use, ${text}`;
  return { problem: inUse(validity.problem), problemId: inUse(validity.problemId) };
}
