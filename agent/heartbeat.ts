import type { CertificateFolder } from "../master/certificates.ts";
import type { MasterAddress } from "../master/connection.ts";
import type { CertificateReport, Sender, SendResult } from "./sender.ts";
import {
  type HostSnapshot,
  type KnownDrift,
  SnapshotCollector,
  type SnapshotOptions,
} from "./snapshot.ts";

/** The topology as the master gets it; null fields where the host is idle. */
export interface TopologyReport {
  readonly topology_id: string | null;
  readonly applied_version_hash: string | null;
  /** Unix time in seconds. */
  readonly applied_at: number | null;
  readonly last_error: string | null;
  /** What runs, or why that is not known. */
  readonly observed:
    | { readonly bridges: readonly string[]; readonly containers: readonly string[] } & Shortened
    | { readonly error: string };
  readonly drift: KnownDrift & Shortened;
}

/** Lists that may have been cut. */
interface Shortened {
  /** How many items were cut off each list, by its name; absent when none was. */
  readonly omitted?: Readonly<Record<string, number>>;
}

/** The state of the older fleet form of deployment: masters ask for it, the agent does not have it. */
export const fleetStatus = { deployed: false, deckies: [] } as const;

/**
 * The body of a heartbeat (docs/protocol.md). A change of any field but `applied_at` makes the next
 * heartbeat go out at once, so a value that always changes, such as an uptime, does not belong here.
 */
export interface HeartbeatBody {
  readonly host_uuid: string | null;
  readonly agent_version: string;
  readonly status: typeof fleetStatus;
  readonly store: { readonly state: "ok" | "idle" | "unreadable"; readonly detail?: string };
  /** Null when the store cannot be read. */
  readonly topology: TopologyReport | null;
}

/** Returns the body of a heartbeat that reports `snapshot`. */
export function heartbeatBody(
  snapshot: HostSnapshot,
  hostUuid: string | null,
  agentVersion: string,
): HeartbeatBody {
  const { kind, detail } = snapshot.store;
  return fitReport<HeartbeatBody>(topologyReport(snapshot), (topology) => ({
    host_uuid: hostUuid,
    agent_version: agentVersion,
    status: fleetStatus,
    store: { state: kind, ...(detail !== undefined && { detail }) },
    topology,
  }));
}

/** Returns all of the topology; null when the store cannot be read. */
export function topologyReport({ store, observed, drift }: HostSnapshot): TopologyReport | null {
  if (store.kind === "unreadable") return null;
  const applied = store.kind === "ok" ? store.applied : null;
  return {
    topology_id: applied?.topologyId ?? null,
    applied_version_hash: applied?.versionHash ?? null,
    applied_at: applied?.appliedAt ?? null,
    last_error: applied?.lastError ?? null,
    observed: observed.kind === "failed"
      ? { error: observed.error }
      : { bridges: observed.bridges, containers: observed.containers },
    drift,
  };
}

/** The most that a report of the host takes as JSON: a heartbeat, the state or a check, in bytes. */
export const maximumReportBytes = 2 ** 20;

/** Returns what `make` makes of a topology; cuts lists, first the drift's, until it fits. */
export function fitReport<Report>(
  topology: TopologyReport | null,
  make: (topology: TopologyReport | null) => Report,
  write: (report: Report) => string = JSON.stringify,
): Report {
  const fits = (report: Report) =>
    new TextEncoder().encode(write(report)).length <= maximumReportBytes;
  const whole = make(topology);
  if (topology === null || fits(whole)) return whole;
  const lists = [...Object.values(topology.observed), ...Object.values(topology.drift)];
  // The number of items that fit lies in this range, which is halved until it is found.
  let [kept, tooMany] = [0, lists.flat().length];
  while (tooMany - kept > 1) {
    const middle = Math.floor((kept + tooMany) / 2);
    if (fits(make(firstItems(topology, middle)))) kept = middle;
    else tooMany = middle;
  }
  return make(firstItems(topology, kept));
}

/** Keeps the first so many items of all lists: those of what runs come before those of the drift. */
function firstItems(topology: TopologyReport, count: number): TopologyReport {
  let left = count;
  const cut = <T extends object>(part: T): T => {
    const omitted: Record<string, number> = {};
    const entries = Object.entries(part).map(([name, value]) => {
      if (!Array.isArray(value)) return [name, value];
      const kept = value.slice(0, left);
      left -= kept.length;
      if (kept.length < value.length) omitted[name] = value.length - kept.length;
      return [name, kept];
    });
    if (Object.keys(omitted).length > 0) entries.push(["omitted", omitted]);
    return Object.fromEntries(entries);
  };
  return { ...topology, observed: cut(topology.observed), drift: cut(topology.drift) };
}

/** Who the agent is, what it checks, and to which master it reports. */
export interface AgentOptions extends SnapshotOptions {
  readonly agentVersion: string;
  readonly hostUuid: string | null;
  /** Null: heartbeats are made and not sent. */
  readonly master: MasterAddress | null;
  /** The folder of the certificates. */
  readonly agentDirectory: string;
  /** The certificates of that folder, where they have been read before. */
  readonly certificates?: CertificateFolder;
}

/** A snapshot, the body that reports it, and how sending that ended. */
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
  readonly collector: SnapshotCollector;
  readonly #options: AgentOptions;
  #sender: Sender | null = null;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.collector = new SnapshotCollector(options);
  }

  /** Collects a snapshot and sends it. What fails becomes part of the heartbeat. Never throws. */
  async sendHeartbeat(
    signal: AbortSignal,
    { dryRun = false, snapshotSignal = signal }: {
      readonly dryRun?: boolean;
      /** Ends the collection earlier, so that there is time left to send. */
      readonly snapshotSignal?: AbortSignal;
    } = {},
  ): Promise<Heartbeat> {
    const prewarming = this.#options.master && !this.#sender && !dryRun ? prewarmTls() : null;
    const snapshot = await this.collector.collect(snapshotSignal);
    const heartbeat = await this.send(snapshot, signal, dryRun);
    await prewarming;
    return heartbeat;
  }

  /** Sends a snapshot. What fails becomes part of the heartbeat. Never throws. */
  async send(snapshot: HostSnapshot, signal: AbortSignal, dryRun = false): Promise<Heartbeat> {
    const checkedAt = Date.now();
    const { master } = this.#options;
    const body = this.body(snapshot);
    if (!master) {
      return { snapshot, body, checkedAt, result: notConfigured, certificates: null };
    }
    const sender = this.#sender ??= await this.#openSender(master);
    const report = await sender.send(JSON.stringify(body), { checkedAt, dryRun, signal });
    return { snapshot, body, checkedAt, ...report };
  }

  /** Returns the body of a heartbeat that reports `snapshot`. */
  body(snapshot: HostSnapshot): HeartbeatBody {
    const { hostUuid, agentVersion } = this.#options;
    return heartbeatBody(snapshot, hostUuid, agentVersion);
  }

  /**
   * Returns a text that differs when a change is worth an early heartbeat. Omits the time of an apply:
   * a master that applies at each heartbeat would be answered with another one, without an end.
   */
  fingerprint(snapshot: HostSnapshot): string {
    const { topology, ...rest } = this.body(snapshot);
    return JSON.stringify({ ...rest, topology: topology && { ...topology, applied_at: 0 } });
  }

  /** Returns what a heartbeat would report of the topology; null when the store is unreadable. */
  async state(signal: AbortSignal): Promise<TopologyReport | null> {
    return this.body(await this.collector.collect(signal)).topology;
  }

  /** Closes the store and the connection to the master. */
  close(): void {
    this.collector.close();
    this.#sender?.close();
  }

  async #openSender(master: MasterAddress): Promise<Sender> {
    const { agentVersion, agentDirectory, certificates } = this.#options;
    // Loaded only for a master: a check without one starts faster.
    const { Sender } = await import("./sender.ts");
    return new Sender({ agentVersion, master, agentDirectory, certificates });
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

/** Prepares the first TLS connection in another thread; it would block this one for 25 ms. */
async function prewarmTls(): Promise<void> {
  const key = { name: "ECDSA", namedCurve: "P-256" };
  // Where it fails, the connection fails as well, and reports a better reason.
  await crypto.subtle.generateKey(key, false, ["sign"]).catch(() => {});
}
