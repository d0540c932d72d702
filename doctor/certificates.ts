import type { X509Certificate } from "node:crypto";
import { validityProblem } from "../agent/sender.ts";
import { exists } from "../host/files.ts";
import { timeOf } from "../host/log.ts";
import type { CertificateReason } from "../master/certificates.ts";
import { findFault, isNamed, nameIn } from "../master/chain.ts";
import { TrustError, validityOf } from "../master/trust.ts";
import { plainName } from "../master/x509.ts";
import { type DoctorContext, failed, ok, type Result, skipped, warning } from "./context.ts";
import { installIssued, readIdentity, tryMaster, type ValidIdentity } from "./master.ts";
import {
  type Account,
  describe,
  look,
  mayUse,
  moveAway,
  openFoldersAbove,
  quote,
  quotePath,
  reading,
  searching,
} from "./system.ts";

/** The agent did not exist before this time, in milliseconds since 1970. */
const earliest = Date.UTC(2026, 0, 1);
const allFiles = ["ca.crt", "worker.crt", "worker.key"] as const;

/** Checks whether the clock can be right; `now` is in milliseconds since 1970. */
export function checkClock(context: Pick<DoctorContext, "withSystemd">, now = Date.now()): Result {
  const text = `it is ${timeOf(now)} by this host's clock`;
  if (now >= earliest) return ok(text);
  return failed(`${text}, which cannot be right: no certificate is valid then`, setClock(context));
}

function setClock(context: Pick<DoctorContext, "withSystemd">): string {
  return context.withSystemd("set the clock", "timedatectl set-ntp true");
}

/** Checks that the certificates are valid now and do not expire soon. */
export function checkValidity(context: DoctorContext): Promise<Result> {
  return withIdentity(context, async ({ certificates, chain, authorities }) => {
    const details = [
      ...authorities.map((it) => `ca.crt ${validityOf(it)}`),
      ...chain.map((it) => `worker.crt ${validityOf(it)}`),
    ];
    const now = Date.now();
    const found = validityProblem(certificates, now);
    if (!found) return ok(...details);
    const problem = [found.problem, ...details];
    if (certificates.validFrom.at > now) return failed(problem, setClock(context));
    const { at, file } = certificates.validTo;
    const renew = installIssued(context, ...file === "ca.crt" ? [file] : [file, "worker.key"]);
    if (at > now) return warning(problem, renew);
    const { failure } = await context.once(tryMaster);
    if (!(failure instanceof TrustError && failure.reason === "expired")) {
      return failed(problem, renew);
    }
    const doubt = "by this host's clock the master's certificate has expired as well";
    return failed([doubt, ...problem], setClock(context));
  });
}

/** Runs a check of the certificates where they are needed and can be used. */
async function withIdentity(
  context: DoctorContext,
  check: (identity: ValidIdentity) => Promise<Result> | Result,
): Promise<Result> {
  if (!needsCertificates(context)) return notNeeded;
  const identity = await context.once(readIdentity);
  if (identity.kind === "invalid") return skipped("the certificates cannot be used");
  return await check(identity);
}

const notNeeded = skipped("neither master-host nor listen is set");

function needsCertificates({ config: { configuration } }: DoctorContext): boolean {
  return configuration.agent.master !== null || configuration.listen !== null;
}

/** Returns the name of a certificate, or of its issuer, for a message. */
function plainNameIn(it: X509Certificate, whose: "subject" | "issuer" = "subject"): string {
  return plainName(nameIn(it, whose).replaceAll("\n", ", "));
}

/** Returns who the certificates of this host are, for a report; nothing else of them. */
export async function certificateLines(context: DoctorContext): Promise<string[]> {
  const identity = await context.once(readIdentity);
  if (identity.kind === "invalid") return [identity.problem.message];
  const linesOf = (file: string) => (it: X509Certificate) => [
    `${file}: subject ${plainNameIn(it)}, issuer ${plainNameIn(it, "issuer")}`,
    `${file}: serial ${it.serialNumber}, ${validityOf(it)}`,
  ];
  const { authorities, chain } = identity;
  return [...authorities.flatMap(linesOf("ca.crt")), ...chain.flatMap(linesOf("worker.crt"))];
}

/** Checks whether worker.crt comes from the authority in ca.crt. */
export function checkAuthority(context: DoctorContext): Promise<Result> {
  return withIdentity(context, ({ chain, authorities }) => {
    const names = authorities.map((it) => plainNameIn(it)).join(", ");
    const check = { authorities, purpose: "client", now: Date.now() } as const;
    if (findFault(chain, check)?.isSigned ?? true) {
      return ok(`worker.crt is signed by ca.crt, ${names}`);
    }
    const issuer = plainNameIn(chain[0], "issuer");
    const why = authorities.some((it) => isNamed(it, chain[0]))
      ? `its issuer has the name of the one in ca.crt, ${issuer}, but another key`
      : `its issuer is ${issuer}, and ca.crt is ${names}`;
    return warning(
      `worker.crt is not signed by ca.crt: ${why}; the files come from two different ` +
        "authorities, and the master will probably reject this host",
      installIssued(context, ...allFiles),
    );
  });
}

/** Checks that the three files exist, can be read, are PEM, and fit each other. */
export async function checkCertificates(context: DoctorContext): Promise<Result> {
  if (!needsCertificates(context)) return notNeeded;
  const closed = await findClosedFolder(context);
  if (closed) return closed;
  for (const name of allFiles) {
    const problem = await findFileProblem(context, name);
    if (problem) return problem;
  }
  const identity = await context.once(readIdentity);
  if (identity.kind === "valid") {
    const name = plainNameIn(identity.chain[0]);
    return ok(`${context.agent.agentDirectory}: worker.crt names ${name}, worker.key fits it`);
  }
  const { path, reason, message } = identity.problem;
  return failed(message, installIssued(context, ...replacements(path, reason)));
}

/** Returns a failure when the agent's user cannot enter the folder of the certificates. */
async function findClosedFolder(context: DoctorContext): Promise<Result | null> {
  const { agent: { agentDirectory: path }, agentUser: user } = context;
  const info = await look(path);
  if (info === "absent") return null;
  if (info === "forbidden") {
    const text = `${path}: user ${user.name} cannot enter a folder above it`;
    return failed(text, openFoldersAbove(path, user));
  }
  // For its own user, the system knows more than the mode: access lists, too. No such file is needed.
  const mayEnter = user.uid === context.user.uid
    ? await look(`${path}/none`) !== "forbidden"
    : mayUse(user, info, searching);
  if (mayEnter) return null;
  return failed(
    [`user ${user.name} cannot enter ${path}`, describe(info, context.accounts)],
    `let users enter it: chmod a+x ${quotePath(path)}`,
  );
}

async function findFileProblem(context: DoctorContext, name: string): Promise<Result | null> {
  const folder = context.agent.agentDirectory;
  const path = `${folder}/${name}`;
  const user = context.agentUser;
  const info = await look(path);
  const why = (text: string) => `Cannot use ${path}: ${text}`;
  if (info === "absent") {
    const absent = allFiles.filter((it) => !exists(`${folder}/${it}`));
    return failed(why("no such file"), installIssued(context, ...absent));
  }
  if (info === "forbidden") {
    // It is a link: the folder itself can be entered.
    const text = why(`user ${user.name} cannot enter a folder that it is linked to`);
    return failed(text, openFoldersAbove(`the file that ${path} names`, user));
  }
  if (!info.isFile) return failed(why("not a regular file"), moveAway(path));
  const details = describe(info, context.accounts);
  // Anyone who has the key can send heartbeats in the name of this host.
  if (name === "worker.key" && ((info.mode ?? 0) & 0o007) !== 0) {
    const fix = `remove the access of other users: chmod o= ${quotePath(path)}`;
    return failed([why("every user of this host can read it"), details], fix);
  }
  if (!mayUse(user, info, reading)) {
    return failed([why(`user ${user.name} cannot read it`), details], letRead(path, name, user));
  }
  return null;
}

function letRead(path: string, name: string, user: Account): string {
  const file = quotePath(path);
  if (name !== "worker.key") return `let users read it: chmod a+r ${file}`;
  return `make ${user.name} its owner: chown ${quote(user.name)} ${file} && chmod 0600 ${file}`;
}

/** Returns the files to replace where one cannot be used. */
function replacements(path: string, reason: CertificateReason): readonly string[] {
  if (!path.endsWith("ca.crt")) return ["worker.crt", "worker.key"];
  return reason === "unusable-key" ? allFiles : ["ca.crt"];
}
