import type { MasterAddress } from "../master/connection.ts";
import type { CertificateReport, Sender, SenderOptions, SendResult } from "./sender.ts";
import {
  type HostSnapshot,
  type KnownDrift,
  type Observed,
  SnapshotCollector,
  type SnapshotOptions,
} from "./snapshot.ts";

/**
 * Lets the runtime gather the entropy of its first TLS connection in another thread. Gathering takes
 * some 25 ms, and would otherwise begin with the connection and hold up everything. The key is not
 * used.
 */
async function prewarmTls(): Promise<void> {
  try {
    await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
  } catch {
    // The connection will tell what is wrong.
  }
}

/** What runs, or why that cannot be seen, as the master reads it. */
type ObservedReport =
  | { readonly bridges: readonly string[]; readonly containers: readonly string[] }
  | { readonly error: string };

/** What the master learns of the topology of this host; null fields where the host is idle. */
export interface TopologyReport {
  readonly topology_id: string | null;
  readonly applied_version_hash: string | null;
  /** Unix time in seconds. */
  readonly applied_at: number | null;
  readonly last_error: string | null;
  readonly observed: ObservedReport;
  readonly drift: KnownDrift;
}

/** The state of the store, as it is reported. */
interface StoreReport {
  readonly state: "ok" | "idle" | "unreadable";
  readonly detail?: string;
}

/** The body of a beat (docs/protocol.md). */
export interface HeartbeatBody {
  readonly host_uuid: string | null;
  readonly agent_version: string;
  readonly status: { readonly deployed: false; readonly deckies: readonly [] };
  readonly store: StoreReport;
  /** Null when the store cannot be read. */
  readonly topology: TopologyReport | null;
}

/** The body that tells `stock` to the master. */
export function heartbeatBody(
  snapshot: HostSnapshot,
  hostUuid: string | null,
  agentVersion: string,
): HeartbeatBody {
  return {
    host_uuid: hostUuid,
    agent_version: agentVersion,
    // The master's older form of deployment, which this agent does not have.
    status: { deployed: false, deckies: [] },
    store: storeReport(snapshot),
    topology: topologyReport(snapshot),
  };
}

function storeReport({ store }: HostSnapshot): StoreReport {
  const details = [
    store.detail,
    store.state === "ok" && store.applied.hasOlderRows &&
    "the store holds more than one row; the newest counts",
  ].filter((it) => typeof it === "string");
  return { state: store.state, ...(details.length > 0 && { detail: details.join("; ") }) };
}

function topologyReport({ store, observed, drift }: HostSnapshot): TopologyReport | null {
  if (store.state === "unreadable") return null;
  const applied = store.state === "ok" ? store.applied : null;
  return {
    topology_id: applied?.topologyId ?? null,
    applied_version_hash: applied?.versionHash ?? null,
    applied_at: applied?.appliedAt ?? null,
    last_error: applied?.lastError ?? null,
    observed: observedReport(observed),
    drift,
  };
}

function observedReport(observed: Observed): ObservedReport {
  if (observed.kind === "failed") return { error: observed.error };
  const { bridges, containers } = observed;
  return { bridges, containers };
}

/** Who the agent is, where it looks and to whom it reports. */
export interface AgentOptions extends SnapshotOptions, Omit<SenderOptions, "master"> {
  readonly hostUuid: string | null;
  /** Null: beats are made and not sent. */
  readonly master: MasterAddress | null;
}

/** One beat: what was seen, what was made of it, and how sending it ended. */
export interface Heartbeat {
  readonly snapshot: HostSnapshot;
  readonly body: HeartbeatBody;
  readonly delivery: SendResult;
  /** Null without a master. */
  readonly certificates: CertificateReport | null;
  /** When it was made, in milliseconds since 1970. */
  readonly checkedAt: number;
}

/** How a beat is made. */
interface HeartbeatOptions {
  /** Whether not to send it. */
  readonly dryRun?: boolean;
  /** After this time the beat goes out with what is known, so that there is time left to send it. */
  readonly snapshotTimeoutMs?: number;
}

/** Makes beats. The loop and the health check both do nothing else. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #stocktaker: SnapshotCollector;
  #sender: Sender | null = null;
  /** What the last beat said. */
  #lastNews = "";

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#stocktaker = new SnapshotCollector(options);
  }

  /** Looks at the host and reports to the master. What fails becomes part of the beat. */
  async sendHeartbeat(
    signal: AbortSignal,
    { dryRun = false, snapshotTimeoutMs }: HeartbeatOptions = {},
  ): Promise<Heartbeat> {
    const { master } = this.#options;
    const checkedAt = Date.now();
    const entropy = master && !this.#sender && !dryRun ? prewarmTls() : null;
    const snapshot = await this.#stocktaker.collect(
      snapshotTimeoutMs === undefined
        ? signal
        : AbortSignal.any([signal, AbortSignal.timeout(snapshotTimeoutMs)]),
    );
    const body = this.#bodyOf(snapshot);
    this.#lastNews = fingerprint(body);
    if (!master) {
      const delivery = { result: "not_configured" } as const;
      return { snapshot, body, checkedAt, delivery, certificates: null };
    }
    const sender = this.#sender ??= await openSender({ ...this.#options, master });
    const sending = await sender.send(JSON.stringify(body), { checkedAt, dryRun, signal });
    await entropy;
    return { snapshot, body, checkedAt, ...sending };
  }

  /** Looks at the host; answers whether a beat would now say something else than the last one. */
  async hasChanged(signal: AbortSignal): Promise<boolean> {
    // What it would change there by mending would be a reason for the next look, without an end.
    const snapshot = await this.#stocktaker.collect(signal, { mends: false });
    return fingerprint(this.#bodyOf(snapshot)) !== this.#lastNews;
  }

  /** The last beat as it would be now, but for the sending: nothing is sent. */
  async glance(last: Heartbeat, signal: AbortSignal): Promise<Heartbeat> {
    const snapshot = await this.#stocktaker.collect(signal);
    return { ...last, snapshot, body: this.#bodyOf(snapshot) };
  }

  /** What the master is told of the topology, and nothing sent; null when the store is unreadable. */
  async state(signal: AbortSignal): Promise<TopologyReport | null> {
    return this.#bodyOf(await this.#stocktaker.collect(signal)).topology;
  }

  /** Closes the store and the connection to the master. */
  close(): void {
    this.#stocktaker.close();
    this.#sender?.close();
  }

  #bodyOf(snapshot: HostSnapshot): HeartbeatBody {
    const { hostUuid, agentVersion } = this.#options;
    return heartbeatBody(snapshot, hostUuid, agentVersion);
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
function fingerprint({ topology, ...rest }: HeartbeatBody): string {
  return JSON.stringify({ ...rest, topology: topology && { ...topology, applied_at: 0 } });
}
