import { type Json, writeJson } from "./json.ts";

/** Keys that do not belong to the topology itself: times, states, positions on the master's canvas. */
const volatileKeys: ReadonlySet<string> = new Set([
  ...["created_at", "status_changed_at", "updated_at", "last_seen"],
  ...["status", "version", "last_error", "x", "y", "w", "h"],
]);

/** Returns SHA-256 of the canonical form, in lower-case hex, as the master does (docs/protocol.md). */
export async function versionHash(document: Json): Promise<string> {
  const bytes = new TextEncoder().encode(canonicalForm(document));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** Returns the text to hash: without volatile keys, keys sorted, numbers in Python's notation. */
export function canonicalForm(document: Json): string {
  return writeJson(document, canonicalNumber, volatileKeys);
}

/** Writes a number as Python's json does after reading `text`. */
export function canonicalNumber(text: string): string {
  if (!/[.eE]/.test(text)) return text === "-0" ? "0" : text;
  const value = Number(text);
  if (!Number.isFinite(value)) return value > 0 ? "Infinity" : "-Infinity";
  // JavaScript and Python find the same digits; only the notation differs.
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
