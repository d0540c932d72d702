import type { X509Certificate } from "node:crypto";
import { validityProblem } from "../../agent/mod.ts";
import { installFromBundle } from "../bundle.ts";
import { type Check, failed, ok, type Result, skipped, warning } from "../check.ts";
import { notNeeded } from "./certificates.ts";

/** Nobody runs this agent at an earlier time than it was written. */
const earliest = Date.UTC(2026, 0, 1);
const setClock = "timedatectl set-ntp true";

/** Whether the clock can be right. */
export const clock: Check = {
  name: "clock",
  code: 3,
  run: () => judgeClock(Date.now()),
};

/** The same for a given time, in milliseconds since 1970. */
export function judgeClock(now: number): Result {
  const text = `it is ${timeOf(now)} by this host's clock`;
  if (now >= earliest) return ok(text);
  return failed(`${text}, which cannot be: no certificate is valid then`, setClock);
}

/** Whether the certificates are valid now, and for a while. */
export const validity: Check = {
  name: "validity",
  code: 3,
  async run(patient) {
    if (!patient.needsCertificates) return skipped(notNeeded);
    const identity = await patient.identity();
    if ("problem" in identity) return skipped("the certificates cannot be used");
    const { certificates, chain, authorities } = identity;
    const now = Date.now();
    const saw = [...authorities.map(rangeOf("ca.crt")), ...chain.map(rangeOf("worker.crt"))];
    const found = validityProblem(certificates, now);
    if (!found) return ok(...saw);
    const problem = [found.problem, ...saw];
    if (certificates.validFrom.at > now) return failed(problem, setClock);
    const { at, file } = certificates.validTo;
    const files = file === "ca.crt" ? [file] : [file, "worker.key"];
    const renew = await installFromBundle(patient, ...files);
    return at <= now ? failed(problem, renew) : warning(problem, renew);
  },
};

function rangeOf(file: string): (certificate: X509Certificate) => string {
  return ({ validFrom, validTo }) =>
    `${file} is valid from ${timeOf(Date.parse(validFrom))} to ${timeOf(Date.parse(validTo))}`;
}

/** A time in milliseconds since 1970, as the doctor writes it. */
export function timeOf(ms: number): string {
  return Number.isNaN(ms) ? "an unknown time" : new Date(ms).toISOString().replace(/\.\d+/, "");
}
