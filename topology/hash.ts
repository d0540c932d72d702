import { type Json, writeJson } from "./json.ts";

/** Keys that change without the topology changing: times, states, places on the master's canvas. */
const volatileKeys: ReadonlySet<string> = new Set([
  ...["created_at", "status_changed_at", "updated_at", "last_seen"],
  ...["status", "version", "last_error", "x", "y", "w", "h"],
]);

/**
 * The version hash of a document: SHA-256 of its canonical form, in lower-case hex. Master and agent
 * compute it alike, by the rules in docs/protocol.md: equal hashes mean the same topology.
 */
export async function versionHash(document: Json): Promise<string> {
  const bytes = new TextEncoder().encode(canonicalForm(document));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** The text that is hashed: volatile keys dropped, keys sorted, numbers in Python's notation. */
export function canonicalForm(document: Json): string {
  return writeJson(document, canonicalNumber, volatileKeys);
}

/** A number as Python's json writes it back after reading `text`. */
export function canonicalNumber(text: string): string {
  if (!/[.eE]/.test(text)) return text === "-0" ? "0" : text;
  const value = Number(text);
  if (!Number.isFinite(value)) return value > 0 ? "Infinity" : "-Infinity";
  // Both languages find the same shortest digits; they differ in the notation around them.
  const [mantissa = "", exponentText] = Math.abs(value).toExponential().split("e");
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  const digits = mantissa.replace(".", "");
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= 16) {
    const point = digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits;
    const size = String(Math.abs(exponent)).padStart(2, "0");
    return `${sign}${point}e${exponent < 0 ? "-" : "+"}${size}`;
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${sign}${whole}.${digits.slice(exponent + 1) || "0"}`;
}
