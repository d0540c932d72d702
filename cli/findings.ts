import { type Beat, describeDrift } from "../agent/mod.ts";
import type { Finding } from "./exit.ts";

/**
 * All that is wrong according to a beat, and to the configuration, the worst first. The codes are in
 * docs/protocol.md.
 */
export function findingsOf(
  { stock, body, delivery, certificates }: Beat,
  warnings: readonly string[] = [],
): Finding[] {
  const findings: Finding[] = [];
  const add = (code: Finding["code"], text: string | null | undefined) => {
    if (typeof text === "string") findings.push({ code, text });
  };
  const hasNoCertificates = certificates?.expiresAt === null;
  add(stock.store.state === "unreadable" ? 3 : 1, body.store.detail);
  add(hasNoCertificates ? 3 : 1, certificates?.problem);
  add(2, "error" in stock.observed ? stock.observed.error : null);
  if (!hasNoCertificates) add(2, "error" in delivery ? delivery.error : null);
  const lastError = body.topology?.last_error ?? null;
  add(1, lastError === null ? null : `the last apply failed: ${lastError}`);
  // Without an answer of Docker, or without the store, the reason is among the findings already.
  if (stock.engine && body.topology) add(1, describeDrift(stock.drift));
  for (const warning of warnings) add(1, warning);
  return findings.sort((a, b) => b.code - a.code);
}
