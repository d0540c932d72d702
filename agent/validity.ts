import type { Certificates } from "../master/mod.ts";

/** From so long before a certificate expires there is a warning, in milliseconds. */
const expiryWarningMs = 30 * 24 * 60 * 60 * 1000;
/** So near, the hour matters, too. */
const nearMs = 2 * 24 * 60 * 60 * 1000;

/** What an operator must know of how long the certificates can be used. */
export interface ValidityProblem {
  readonly problem: string;
  /** The same at each time of the day, as `problem` is not: it may tell the time. */
  readonly problemId: string;
}

/** Whether certificates are not valid yet, no longer, or not for long; `now` as of `Date.now()`. */
export function validityProblem(
  { validFrom, validTo }: Certificates,
  now: number,
): ValidityProblem | null {
  const clock = `this host's clock says ${timeOf(now)}`;
  if (validFrom.at > now) {
    const problemId = `${validFrom.file} is not valid before ${timeOf(validFrom.at)}`;
    const problem = `${problemId} (then until ${timeOf(validTo.at)}), and ${clock}; ` +
      "set the clock if it is wrong";
    return { problem, problemId };
  }
  if (validTo.at - now > expiryWarningMs) return null;
  if (validTo.at > now) {
    const at = timeOf(validTo.at);
    const isNear = validTo.at - now < nearMs;
    const problem = `${validTo.file} expires ${
      isNear ? `at ${at}` : `on ${at.slice(0, 10)}`
    }; renew it`;
    return { problem, problemId: problem };
  }
  const problemId = `${validTo.file} has expired at ${timeOf(validTo.at)}`;
  const problem = `${problemId}, and ${clock}; renew it, or set the clock if it is wrong`;
  return { problem, problemId };
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+/, "");
}
