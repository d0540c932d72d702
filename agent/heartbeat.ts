import type { MasterAddress } from "../master/connection.ts";
import type { CertificateReport, Delivery, Sender, SenderOptions } from "./sender.ts";
import {
  type KnownDrift,
  type Observed,
  type Stock,
  type StockOptions,
  Stocktaker,
} from "./snapshot.ts";

/**
 * Lets the runtime gather the entropy of its first TLS connection in another thread. Gathering takes
 * some 25 ms, and would otherwise begin with the connection and hold up everything. The key is not
 * used.
 */
async function gatherEntropy(): Promise<void> {
  try {
    await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
  } catch {
    // The connection will tell what is wrong.
  }
}

/** What the master learns of the topology of this host; null fields where the host is idle. */
export interface TopologyReport {
  readonly topology_id: string | null;
  readonly applied_version_hash: string | null;
  /** Unix time in seconds. */
  readonly applied_at: number | null;
  readonly last_error: string | null;
  readonly observed: Observed;
  readonly drift: KnownDrift;
}

/** The state of the store, as it is reported. */
interface StoreReport {
  readonly state: "ok" | "idle" | "unreadable";
  readonly detail?: string;
}

/** The body of a beat (docs/protocol.md). */
export interface BeatBody {
  readonly host_uuid: string | null;
  readonly agent_version: string;
  readonly status: { readonly deployed: false; readonly deckies: readonly [] };
  readonly store: StoreReport;
  /** Null when the store cannot be read. */
  readonly topology: TopologyReport | null;
}

/** The body that tells `stock` to the master. */
export function beatBody(stock: Stock, hostUuid: string | null, agentVersion: string): BeatBody {
  return {
    host_uuid: hostUuid,
    agent_version: agentVersion,
    // The master's older form of deployment, which this agent does not have.
    status: { deployed: false, deckies: [] },
    store: storeReport(stock),
    topology: topologyReport(stock),
  };
}

function storeReport({ store }: Stock): StoreReport {
  const details = [
    store.detail,
    store.state === "ok" && store.applied.hasOlderRows &&
    "the store holds more than one row; the newest counts",
  ].filter((it) => typeof it === "string");
  return { state: store.state, ...(details.length > 0 && { detail: details.join("; ") }) };
}

function topologyReport({ store, observed, drift }: Stock): TopologyReport | null {
  if (store.state === "unreadable") return null;
  const applied = store.state === "ok" ? store.applied : null;
  return {
    topology_id: applied?.topologyId ?? null,
    applied_version_hash: applied?.versionHash ?? null,
    applied_at: applied?.appliedAt ?? null,
    last_error: applied?.lastError ?? null,
    observed,
    drift,
  };
}

/** Who the agent is, where it looks and to whom it reports. */
export interface AgentOptions extends StockOptions, Omit<SenderOptions, "master"> {
  readonly hostUuid: string | null;
  /** Null: beats are made and not sent. */
  readonly master: MasterAddress | null;
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
interface BeatOptions {
  /** Whether not to send it. */
  readonly dryRun?: boolean;
  /** After this time the beat goes out with what is known, so that there is time left to send it. */
  readonly stockTimeoutMs?: number;
}

/** Makes beats. The loop and the health check both do nothing else. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #stocktaker: Stocktaker;
  #sender: Sender | null = null;
  /** What the last beat said. */
  #lastNews = "";

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#stocktaker = new Stocktaker(options);
  }

  /** Looks at the host and reports to the master. What fails becomes part of the beat. */
  async beat(
    signal: AbortSignal,
    { dryRun = false, stockTimeoutMs }: BeatOptions = {},
  ): Promise<Beat> {
    const { master } = this.#options;
    const checkedAt = Date.now();
    const entropy = master && !this.#sender && !dryRun ? gatherEntropy() : null;
    const stock = await this.#stocktaker.take(
      stockTimeoutMs === undefined
        ? signal
        : AbortSignal.any([signal, AbortSignal.timeout(stockTimeoutMs)]),
    );
    const body = this.#bodyOf(stock);
    this.#lastNews = newsOf(body);
    if (!master) {
      const delivery = { result: "not_configured" } as const;
      return { stock, body, checkedAt, delivery, certificates: null };
    }
    const sender = this.#sender ??= await openSender({ ...this.#options, master });
    const sending = await sender.send(JSON.stringify(body), { checkedAt, dryRun, signal });
    await entropy;
    return { stock, body, checkedAt, ...sending };
  }

  /** Looks at the host; answers whether a beat would now say something else than the last one. */
  async hasNews(signal: AbortSignal): Promise<boolean> {
    // What it would change there by mending would be a reason for the next look, without an end.
    const stock = await this.#stocktaker.take(signal, { mends: false });
    return newsOf(this.#bodyOf(stock)) !== this.#lastNews;
  }

  /** The last beat as it would be now, but for the sending: nothing is sent. */
  async glance(last: Beat, signal: AbortSignal): Promise<Beat> {
    const stock = await this.#stocktaker.take(signal);
    return { ...last, stock, body: this.#bodyOf(stock) };
  }

  /** What the master is told of the topology, and nothing sent; null when the store is unreadable. */
  async state(signal: AbortSignal): Promise<TopologyReport | null> {
    return this.#bodyOf(await this.#stocktaker.take(signal)).topology;
  }

  /** Closes the store and the connection to the master. */
  close(): void {
    this.#stocktaker.close();
    this.#sender?.close();
  }

  #bodyOf(stock: Stock): BeatBody {
    const { hostUuid, agentVersion } = this.#options;
    return beatBody(stock, hostUuid, agentVersion);
  }
}

/** A check of a host without a master starts faster without all that sending takes. */
async function openSender(options: SenderOptions): Promise<Sender> {
  const { Sender } = await import("./sender.ts");
  return new Sender(options);
}

/**
 * What of a beat is worth one out of turn: that the same was applied once more is not. A master that
 * pushes at each beat would else be answered by one, for ever.
 */
function newsOf({ topology, ...rest }: BeatBody): string {
  return JSON.stringify({ ...rest, topology: topology && { ...topology, applied_at: 0 } });
}
