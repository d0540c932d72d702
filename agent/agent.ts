import {
  CertificateFolder,
  type Certificates,
  hostAndPort,
  type MasterAddress,
  MasterClient,
  parseRetryAfter,
} from "../master/mod.ts";
import { type BeatBody, beatBody, type TopologyReport } from "./beat.ts";
import { type Delivery, refusal } from "./delivery.ts";
import { type Stock, type StockOptions, Stocktaker } from "./stock.ts";
import { validityProblem } from "./validity.ts";

const beatPath = "/swarm/heartbeat";

/** Who the agent is, where it looks and to whom it reports. */
export interface AgentOptions extends StockOptions {
  readonly agentVersion: string;
  readonly hostUuid: string | null;
  /** Null: beats are made and not sent. */
  readonly master: MasterAddress | null;
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

/** One beat: what was seen, what was made of it, and how sending it ended. */
export interface Beat {
  readonly stock: Stock;
  readonly body: BeatBody;
  readonly delivery: Delivery;
  /** Null without a master. */
  readonly certificates: CertificateReport | null;
  /** When it was made, in milliseconds since 1970. */
  readonly checkedAt: number;
}

/** How a beat is made. */
export interface BeatOptions {
  /** Whether not to send it. */
  readonly dryRun?: boolean;
  /** After this time the beat goes out with what is known, so that there is time left to send it. */
  readonly stockTimeoutMs?: number;
}

/** Makes beats. The loop and the health check both do nothing else. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #certificates: CertificateFolder;
  readonly #stocktaker: Stocktaker;
  #client: MasterClient | null = null;
  /** What the last beat said. */
  #lastNews = "";

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#stocktaker = new Stocktaker(options);
    this.#certificates = options.certificates ?? new CertificateFolder(options.agentDirectory);
  }

  /** Looks at the host and reports to the master. What fails becomes part of the beat. */
  async beat(
    signal: AbortSignal,
    { dryRun = false, stockTimeoutMs }: BeatOptions = {},
  ): Promise<Beat> {
    const { master } = this.#options;
    const checkedAt = Date.now();
    const stock = await this.#stocktaker.take(
      stockTimeoutMs === undefined
        ? signal
        : AbortSignal.any([signal, AbortSignal.timeout(stockTimeoutMs)]),
    );
    const body = this.#bodyOf(stock);
    const json = JSON.stringify(body);
    this.#lastNews = newsOf(body);
    const beat = { stock, body, checkedAt };
    if (!master) return { ...beat, delivery: { result: "not_configured" }, certificates: null };
    const url = `https://${hostAndPort(master)}${beatPath}`;
    try {
      const { certificates, problem } = await this.#certificates.load();
      return {
        ...beat,
        certificates: {
          expiresAt: certificates.validTo.at,
          problem,
          ...(problem === null && validityProblem(certificates, checkedAt)),
        },
        delivery: dryRun
          ? { result: "dry_run", url }
          : await this.#send(url, json, master, certificates, signal),
      };
    } catch (error) {
      const problem = (error as Error).message;
      const certificates = { expiresAt: null, problem };
      return { ...beat, delivery: notSent(url, problem), certificates };
    }
  }

  /** Looks at the host; answers whether a beat would now say something else than the last one. */
  async hasNews(signal: AbortSignal): Promise<boolean> {
    const stock = await this.#stocktaker.take(signal);
    return newsOf(this.#bodyOf(stock)) !== this.#lastNews;
  }

  /** What the master is told of the topology, and nothing sent; null when the store is unreadable. */
  async state(signal: AbortSignal): Promise<TopologyReport | null> {
    return this.#bodyOf(await this.#stocktaker.take(signal)).topology;
  }

  /** Closes the store and the connection to the master. */
  close(): void {
    this.#stocktaker.close();
    this.#client?.close();
  }

  #bodyOf(stock: Stock): BeatBody {
    const { hostUuid, agentVersion } = this.#options;
    return beatBody(stock, hostUuid, agentVersion);
  }

  async #send(
    url: string,
    body: string,
    master: MasterAddress,
    certificates: Certificates,
    signal: AbortSignal,
  ): Promise<Delivery> {
    this.#client ??= await MasterClient.create(
      master,
      `decnet-agent/${this.#options.agentVersion}`,
    );
    if (signal.aborted) return notSent(url, "no time was left to send the beat");
    const startedAt = performance.now();
    try {
      const reply = await this.#client.post(beatPath, body, certificates, signal);
      const error = refusal(reply);
      return {
        result: error === null ? "delivered" : "rejected",
        url,
        httpStatus: reply.status,
        latencyMs: performance.now() - startedAt,
        retryAfterMs: error === null ? null : parseRetryAfter(reply.retryAfter, Date.now()),
        error,
      };
    } catch (error) {
      const latencyMs = performance.now() - startedAt;
      return { ...notSent(url, (error as Error).message), latencyMs };
    }
  }
}

/**
 * What of a beat is worth one out of turn: that the same was applied once more is not. A master that
 * pushes at each beat would else be answered by one, for ever.
 */
function newsOf({ topology, ...rest }: BeatBody): string {
  return JSON.stringify({ ...rest, topology: topology && { ...topology, applied_at: 0 } });
}

function notSent(url: string, error: string) {
  const nothing = { httpStatus: null, latencyMs: null, retryAfterMs: null };
  return { result: "unreachable", url, ...nothing, error } as const;
}
