import type { X509Certificate } from "node:crypto";
import { validityProblem } from "../agent/sender.ts";
import type { CertificateReason } from "../master/certificates.ts";
import { ConnectionError } from "../master/connection.ts";
import { isNamed, isSignedBy, nameIn } from "../master/chain.ts";
import { timeOf, TrustError, validityOf } from "../master/trust.ts";
import { plainName } from "../master/x509.ts";
import {
  describe,
  type DoctorContext,
  failed,
  look,
  mayUse,
  moveAway,
  ok,
  quotePath,
  reading,
  readText,
  type Result,
  skipped,
  warning,
} from "./context.ts";
import { identityOf, installIssued, masterFindings } from "./master.ts";
import { agentUser } from "./service.ts";

/** The agent did not exist before this time, in milliseconds since 1970. */
const earliest = Date.UTC(2026, 0, 1);
/** If no file of the agent changed for so long, the clock is probably ahead; in milliseconds. */
const longUnusedMs = 365 * 86_400_000;
const names = ["ca.crt", "worker.crt", "worker.key"] as const;

/** Checks whether the clock can be right; `now` is in milliseconds since 1970. */
export function checkClock(
  context: Pick<DoctorContext, "withSystemd">,
  now = Date.now(),
): Result {
  const text = `it is ${timeOf(now)} by this host's clock`;
  if (now >= earliest) return ok(text);
  return failed(`${text}, which cannot be right: no certificate is valid then`, setClock(context));
}

function setClock(context: Pick<DoctorContext, "withSystemd">): string {
  return context.withSystemd("set the clock", "timedatectl set-ntp true");
}

/** Checks that the certificates are valid now and do not expire soon. */
export async function checkValidity(context: DoctorContext): Promise<Result> {
  if (!needsCertificates(context)) return skipped(notNeeded);
  const identity = await identityOf(context);
  if (identity.kind === "invalid") return skipped("the certificates cannot be used");
  const { certificates, chain, authorities } = identity;
  const now = Date.now();
  const details = [
    ...authorities.map((it) => `ca.crt ${validityOf(it)}`),
    ...chain.map((it) => `worker.crt ${validityOf(it)}`),
  ];
  const found = validityProblem(certificates, now);
  if (!found) return ok(...details);
  const problem = [found.problem, ...details];
  if (certificates.validFrom.at > now) return failed(problem, setClock(context));
  const { at, file } = certificates.validTo;
  const files = file === "ca.crt" ? [file] : [file, "worker.key"];
  const renew = await installIssued(context, ...files);
  if (at > now) return warning(problem, renew);
  const doubt = await doubtOfClock(context, now);
  return doubt === null ? failed(problem, renew) : failed([doubt, ...problem], setClock(context));
}

/** Returns a reason to doubt the clock instead of the certificate; null when there is none. */
async function doubtOfClock(context: DoctorContext, now: number): Promise<string | null> {
  const { handshake } = await masterFindings(context);
  if (handshake instanceof TrustError && handshake.reason === "expired") {
    return "by this host's clock the master's certificate has expired as well";
  }
  const { agentDirectory, storePath } = context.agent;
  const paths = names.map((name) => `${agentDirectory}/${name}`)
    .concat(storePath, `${context.stateDirectory}/agent.lock`, Deno.execPath());
  const files = await Promise.all(paths.map((path) => look(path)));
  const times = files.map((it) => typeof it === "object" ? it.mtime?.getTime() ?? 0 : 0);
  const newest = Math.max(...times);
  if (newest === 0 || now - newest < longUnusedMs) return null;
  return `no file of the agent has changed since ${
    timeOf(newest)
  }: if this is impossible, the clock is ahead`;
}

/** Why the checks of certificates are skipped. */
const notNeeded = "neither master-host nor listen is set";

function needsCertificates({ config: { configuration } }: DoctorContext): boolean {
  return configuration.agent.master !== null || configuration.listen !== null;
}

/** Returns the name of a certificate, or of its issuer, for a message. */
function plainNameIn(it: X509Certificate, whose: "subject" | "issuer" = "subject"): string {
  return plainName(nameIn(it, whose).replaceAll("\n", ", "));
}

/** Returns who the certificates of this host are, for a report; nothing else of them. */
export async function certificateLines(context: DoctorContext): Promise<string[]> {
  const identity = await identityOf(context);
  if (identity.kind === "invalid") return [identity.problem.message];
  const linesOf = (file: string) => (it: X509Certificate) => [
    `${file}: subject ${plainNameIn(it)}, issuer ${plainNameIn(it, "issuer")}`,
    `${file}: serial ${it.serialNumber}, ${validityOf(it)}`,
  ];
  const { authorities, chain } = identity;
  return [...authorities.flatMap(linesOf("ca.crt")), ...chain.flatMap(linesOf("worker.crt"))];
}

/** Checks that the three files exist, can be read, are PEM, and fit each other. */
export async function checkCertificates(context: DoctorContext): Promise<Result> {
  if (!needsCertificates(context)) return skipped(notNeeded);
  for (const name of names) {
    const problem = await findFileProblem(context, name);
    if (problem) return problem;
  }
  const folder = context.agent.agentDirectory;
  const identity = await identityOf(context);
  if (identity.kind === "valid") {
    const [own] = identity.chain;
    return ok(`${folder}: worker.crt names ${plainNameIn(own)}, worker.key fits it`);
  }
  const { path, reason, message } = identity.problem;
  return failed(
    message,
    await conversion(path, reason) ??
      await installIssued(context, ...replacements(path, reason)),
  );
}

async function findFileProblem(context: DoctorContext, name: string): Promise<Result | null> {
  const folder = context.agent.agentDirectory;
  const path = `${folder}/${name}`;
  const user = await agentUser(context);
  const info = await look(path);
  const why = (text: string) => `Cannot use ${path}: ${text}`;
  if (info === "absent") {
    const found = await Promise.all(names.map((it) => look(`${folder}/${it}`)));
    const absent = names.filter((_, index) => found[index] === "absent");
    return failed(why("no such file"), await installIssued(context, ...absent));
  }
  const own = `make ${user.name} the owner of ${folder} and of everything in it (chown -R)`;
  if (info === "forbidden") {
    return failed(why(`user ${user.name} cannot enter a folder`), own);
  }
  if (!info.isFile) {
    return failed(why("not a regular file"), moveAway(path));
  }
  const details = describe(info, context.accounts);
  // Anyone who has the key can send heartbeats in the name of this host.
  if (name === "worker.key" && ((info.mode ?? 0) & 0o007) !== 0) {
    return failed(
      [why("every user of this host can read it"), details],
      `remove the access of other users: chmod o= ${quotePath(path)}`,
    );
  }
  if (!mayUse(user, info, reading)) {
    return failed([why(`user ${user.name} cannot read it`), details], own);
  }
  return null;
}

/** Returns the files to replace where one cannot be used. */
function replacements(path: string, reason: CertificateReason): readonly string[] {
  if (!path.endsWith("ca.crt")) return ["worker.crt", "worker.key"];
  return reason === "unusable-key" ? names : ["ca.crt"];
}

/** Returns how to convert a file to PEM; null when it is neither encrypted nor DER. */
async function conversion(path: string, reason: CertificateReason): Promise<string | null> {
  const [from, to] = [quotePath(path), quotePath(`${path}.new`)];
  if (reason === "encrypted") {
    return `decrypt it: openssl pkey -in ${from} -out ${to} && mv ${to} ${from}`;
  }
  // DER begins with a sequence: byte 0x30, the character 0.
  if (reason !== "not-pem" || !(await readText(path))?.startsWith("0")) return null;
  const command = path.endsWith(".key") ? "pkey" : "x509";
  return `write it as PEM: openssl ${command} -inform DER -in ${from} -out ${to} && mv ${to} ${from}`;
}

/** Checks whether worker.crt comes from the authority in ca.crt. */
export async function checkAuthority(context: DoctorContext): Promise<Result> {
  if (!needsCertificates(context)) return skipped(notNeeded);
  const identity = await identityOf(context);
  if (identity.kind === "invalid") return skipped("the certificates cannot be used");
  const { chain, authorities } = identity;
  const names = authorities.map((it) => plainNameIn(it)).join(", ");
  if (isSignedBy(chain, authorities, await import("node:crypto"))) {
    return ok(`worker.crt is signed by ca.crt, ${names}`);
  }
  const isNamesake = authorities.some((it) => isNamed(it, chain[0]));
  const issuer = plainNameIn(chain[0], "issuer");
  const why = isNamesake
    ? `its issuer has the name of the one in ca.crt, ${issuer}, but another key`
    : `its issuer is ${issuer}, and ca.crt is ${names}`;
  return warning(
    `worker.crt is not signed by ca.crt: ${why}; the files come from two different authorities, ` +
      "and the master will probably reject this host",
    await installIssued(context, ...await wrongFiles(context)),
  );
}

/** Returns the files to replace, judged by the handshake with the master. */
async function wrongFiles(context: DoctorContext): Promise<string[]> {
  const { handshake } = await masterFindings(context);
  const worker = ["worker.crt", "worker.key"];
  if (!handshake) return ["ca.crt", ...worker];
  if (handshake instanceof TrustError) return handshake.isSigned ? worker : ["ca.crt"];
  if (!(handshake instanceof ConnectionError)) return worker;
  switch (handshake.reason) {
    case "certificate-refused":
    case "closed-after-handshake":
      // The master was verified with ca.crt before it refused worker.crt.
      return worker;
    default:
      return ["ca.crt", ...worker];
  }
}
