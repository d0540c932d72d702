import type { X509Certificate } from "node:crypto";
import { validityProblem } from "../../agent/mod.ts";
import { HandshakeFailure } from "../../master/handshake.ts";
import { installFromBundle } from "../bundle.ts";
import { type Check, failed, ok, type Result, skipped, warning } from "../check.ts";
import { look } from "../files.ts";
import type { Patient } from "../patient.ts";
import { notNeeded } from "./certificates.ts";

/** Nobody runs this agent at an earlier time than it was written. */
const earliest = Date.UTC(2026, 0, 1);
/** A host whose agent has not been touched for so long is unlikely, in milliseconds. */
const longUnusedMs = 365 * 86_400_000;
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
    if (at > now) return warning(problem, renew);
    const doubt = await doubtOfClock(patient, now);
    return doubt === null ? failed(problem, renew) : failed([doubt, ...problem], setClock);
  },
};

/** Why it is rather the clock that is wrong than a certificate that is old; null when it is not. */
async function doubtOfClock(patient: Patient, now: number): Promise<string | null> {
  const { handshake } = await patient.master();
  if (handshake instanceof HandshakeFailure && handshake.kind === "authority") {
    const isExpired = handshake.message.includes("has expired");
    if (isExpired) return "by this host's clock the master's certificate has expired as well";
  }
  const { agentDirectory, storePath } = patient.options.agent;
  const paths = ["ca.crt", "worker.crt", "worker.key"].map((name) => `${agentDirectory}/${name}`)
    .concat(storePath, `${patient.stateDirectory}/agent.lock`, Deno.execPath());
  const sights = await Promise.all(paths.map(look));
  const times = sights.map((it) => typeof it === "object" ? it.mtime?.getTime() ?? 0 : 0);
  const newest = Math.max(...times);
  if (newest === 0 || now - newest < longUnusedMs) return null;
  return `nothing of the agent's was written since ${
    timeOf(newest)
  }: if that cannot be, the clock is ahead`;
}

function rangeOf(file: string): (certificate: X509Certificate) => string {
  return ({ validFrom, validTo }) =>
    `${file} is valid from ${timeOf(Date.parse(validFrom))} to ${timeOf(Date.parse(validTo))}`;
}

/** A time in milliseconds since 1970, as the doctor writes it. */
export function timeOf(ms: number): string {
  return Number.isNaN(ms) ? "an unknown time" : new Date(ms).toISOString().replace(/\.\d+/, "");
}
