/**
 * Reads a `Retry-After` header, which is a number of seconds or a date, as milliseconds from `now`
 * (milliseconds since 1970). Null when there is none, or none that can be understood.
 */
export function parseRetryAfter(value: string | null, now: number): number | null {
  if (value === null) return null;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  // Date.parse takes far more than a date of HTTP, such as "-5"; letters tell them apart.
  const date = /^[A-Z][a-z]{2}/.test(value) ? Date.parse(value) : NaN;
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}
