import type { MasterReply } from "../master/mod.ts";

/** How the sending of a beat ended. */
export type Delivery =
  | { readonly result: "not_configured" }
  | { readonly result: "dry_run"; readonly url: string }
  | {
    readonly result: "delivered" | "rejected" | "unreachable";
    readonly url: string;
    /** Null when no answer came. */
    readonly httpStatus: number | null;
    /** Null when nothing was sent. */
    readonly latencyMs: number | null;
    /** How long the master asked to wait, in milliseconds, or null. */
    readonly retryAfterMs: number | null;
    /** Null when delivered. */
    readonly error: string | null;
  };

/** Why the master did not accept a beat, or null when it did: any 2xx accepts. */
export function refusal({ status, text }: MasterReply): string | null {
  if (status >= 200 && status < 300) return null;
  const words = text.replace(/\s+/g, " ").trim();
  const parts = [`the master answered ${status}`, meanings.get(status), words && `"${words}"`];
  return parts.filter((part) => part).join(": ");
}

/**
 * Whether to come back later than at the next interval: the master is absent, or has a fault of its
 * own. A refusal of this host or this beat would be the same later, so it changes nothing.
 */
export function wantsBackoff(delivery: Delivery): boolean {
  if (delivery.result === "unreachable") return delivery.latencyMs !== null;
  if (delivery.result !== "rejected") return false;
  return delivery.httpStatus === 429 || delivery.httpStatus! >= 500;
}

const redirected = "redirects are not followed";
const meanings: ReadonlyMap<number, string> = new Map([
  [301, redirected],
  [302, redirected],
  [303, redirected],
  [307, redirected],
  [308, redirected],
  [400, "it does not understand the beat; one of the two may be too old"],
  [403, "worker.crt is not the certificate pinned to this host-uuid; enrol this host again"],
  [404, "it does not know this host-uuid; enrol this host, or see host-uuid"],
  [422, "it does not understand the beat; one of the two may be too old"],
]);
