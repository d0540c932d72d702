/** Sample heartbeats. */

import { type Heartbeat, heartbeatBody } from "../../agent/heartbeat.ts";
import type { CertificateReport, SendResult } from "../../agent/sender.ts";
import type { HostSnapshot, KnownDrift } from "../../agent/snapshot.ts";
import type { AppliedTopology } from "../../store/row.ts";

/** No difference of any kind. */
export const consistent: Extract<KnownDrift, { missing: unknown }> = {
  state: "consistent",
  missing: [],
  stopped: [],
  unhealthy: [],
  changed: [],
  unexpected: [],
};

/** A topology that was applied without an error. */
export const applied: AppliedTopology = {
  topologyId: "topology-1",
  versionHash: "0123456789abcdef",
  document: "{}",
  appliedAt: 1_700_000_000,
  lastError: null,
  hasOlderRows: false,
};

/** A host where all is well. */
const snapshot: HostSnapshot = {
  store: { kind: "ok", applied },
  observed: { kind: "listed", bridges: ["n1", "n2"], containers: ["c1"], published: new Map() },
  socket: "/run/docker.sock",
  engine: { version: "20.10.24", apiVersion: "1.41", latencyMs: 12.345 },
  drift: consistent,
  refused: null,
};

/** The snapshot when the engine is down. */
export const dockerDown: Partial<HostSnapshot> = {
  observed: { kind: "failed", error: "Docker is down" },
  engine: null,
  drift: { state: "unknown", detail: "Docker did not answer" },
};

/** The snapshot when the store cannot be read. */
export const storeUnreadable: Partial<HostSnapshot> = {
  store: { kind: "unreadable", detail: "the store is garbage", reason: "other" },
  drift: { state: "unknown", detail: "the store is unreadable" },
};

const sent = {
  url: "https://m:8770/swarm/heartbeat",
  httpStatus: 204,
  latencyMs: 34.567,
  retryAfterMs: null,
};

const attempt = { ...sent, kind: "unreachable", httpStatus: null } as const;
const notSent = { ...attempt, latencyMs: null } as const;

/** One result of sending for each kind. */
export const sendResults = {
  delivered: { ...sent, kind: "delivered", error: null },
  rejected: { ...sent, kind: "rejected", httpStatus: 403, error: "the master said no" },
  unreachable: { ...attempt, error: "the master is gone" },
  notSent: { ...notSent, error: "no worker.crt" },
  dryRun: { ...notSent, kind: "dry_run", error: null },
  notConfigured: { ...notSent, kind: "not_configured", url: null, error: null },
} as const satisfies Record<string, SendResult>;

/** A heartbeat of a healthy host, with the changes that are given. */
export function heartbeatWith(
  { snapshot: changed = {}, result = sendResults.delivered, certificates }: {
    readonly snapshot?: Partial<HostSnapshot>;
    readonly result?: SendResult;
    readonly certificates?: CertificateReport | null;
  } = {},
): Heartbeat {
  const whole = { ...snapshot, ...changed };
  const wellKnown = { expiresAt: Date.UTC(2030, 0), problem: null };
  return {
    snapshot: whole,
    body: heartbeatBody(whole, "host-1", "1.2.3"),
    result,
    certificates: certificates === undefined ? wellKnown : certificates,
    checkedAt: Date.UTC(2026, 10, 22, 10, 11, 12, 345),
  };
}
