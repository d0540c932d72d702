import type { KnownDrift, Observed, Stock } from "./stock.ts";

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
export interface StoreReport {
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
