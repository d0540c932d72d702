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
  readonly result: SendResult;
  /** Null without a master. */
  readonly certificates: CertificateReport | null;
  /** When it was made, in milliseconds since 1970. */
  readonly checkedAt: number;
}

/** Collects snapshots of the host and sends them to the master. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #collector: SnapshotCollector;
  #sender: Sender | null = null;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#collector = new SnapshotCollector(options);
  }

  /** Collects a snapshot and sends it. What fails becomes part of the heartbeat. Never throws. */
  async sendHeartbeat(
    signal: AbortSignal,
    { dryRun = false, snapshotTimeoutMs }: {
      readonly dryRun?: boolean;
      /** After this time what is known is sent, so that there is time left for it. */
      readonly snapshotTimeoutMs?: number;
    } = {},
  ): Promise<Heartbeat> {
    const checkedAt = Date.now();
    const prewarming = this.#options.master && !this.#sender && !dryRun ? prewarmTls() : null;
    const snapshot = await this.collect(
      snapshotTimeoutMs === undefined
        ? signal
        : AbortSignal.any([signal, AbortSignal.timeout(snapshotTimeoutMs)]),
    );
    const heartbeat = await this.send(snapshot, { checkedAt, dryRun, signal });
    await prewarming;
    return heartbeat;
  }

  /** Collects a snapshot. Never throws. */
  collect(signal: AbortSignal, options?: { readonly repairs?: boolean }): Promise<HostSnapshot> {
    return this.#collector.collect(signal, options);
  }

  /** Whether a collection that may repair the store has something to do. */
  canRepair(snapshot: HostSnapshot): boolean {
    return this.#collector.canRepair(snapshot);
  }

  /** Sends a snapshot. What fails becomes part of the heartbeat. Never throws. */
  async send(
    snapshot: HostSnapshot,
    { checkedAt = Date.now(), dryRun = false, signal }: {
      readonly checkedAt?: number;
      readonly dryRun?: boolean;
      readonly signal: AbortSignal;
    },
  ): Promise<Heartbeat> {
    const { master } = this.#options;
    const body = this.body(snapshot);
    if (!master) {
      return { snapshot, body, checkedAt, result: notConfigured, certificates: null };
    }
    const sender = this.#sender ??= await openSender({ ...this.#options, master });
    const report = await sender.send(JSON.stringify(body), { checkedAt, dryRun, signal });
    return { snapshot, body, checkedAt, ...report };
  }

  /** The body of a heartbeat with this snapshot. */
  body(snapshot: HostSnapshot): HeartbeatBody {
    const { hostUuid, agentVersion } = this.#options;
    return heartbeatBody(snapshot, hostUuid, agentVersion);
  }

  /**
   * What of a heartbeat makes an early one worth sending when it has changed. The time of an apply is
   * left out: a master that pushes at each heartbeat would be answered by one, without an end.
   */
  fingerprint(snapshot: HostSnapshot): string {
    const { topology, ...rest } = this.body(snapshot);
    return JSON.stringify({ ...rest, topology: topology && { ...topology, applied_at: 0 } });
  }

  /** What a heartbeat would say of the topology; null when the store is unreadable. */
  async state(signal: AbortSignal): Promise<TopologyReport | null> {
    return this.body(await this.collect(signal)).topology;
  }

  /** Closes the store and the connection to the master. */
  close(): void {
    this.#collector.close();
    this.#sender?.close();
  }
}

const notConfigured: SendResult = {
  kind: "not_configured",
  url: null,
  httpStatus: null,
  latencyMs: null,
  retryAfterMs: null,
  error: null,
};

/** A check of a host without a master starts faster without all that sending takes. */
async function openSender(options: SenderOptions): Promise<Sender> {
  const { Sender } = await import("./sender.ts");
  return new Sender(options);
}
