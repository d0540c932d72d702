import { type Beat, describeDrift } from "../agent/mod.ts";
import type { Finding } from "./exit.ts";

/** What becomes of a damaged file, which a check leaves alone. */
const damageMend = "a running agent, or the next apply or teardown, sets it aside and begins " +
  "an empty database";

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
  const { store } = stock;
  if (store.state !== "unreadable") add(1, body.store.detail);
  else add(3, store.isDamaged ? `${store.detail}; ${damageMend}` : store.detail);
  add(hasNoCertificates ? 3 : 1, certificates?.problem);
  add(2, "error" in stock.observed ? stock.observed.error : null);
  if (!hasNoCertificates) add(2, "error" in delivery ? delivery.error : null);
  const lastError = body.topology?.last_error ?? null;
  add(1, lastError === null ? null : `the last apply or teardown failed: ${lastError}`);
  // Without an answer of Docker, or without the store, the reason is among the findings already.
  if (stock.engine && body.topology) add(1, describeDrift(stock.drift));
  for (const warning of warnings) add(1, warning);
  return findings.sort((a, b) => b.code - a.code);
}
