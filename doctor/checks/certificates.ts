import { mayUse, reading } from "../accounts.ts";
import { installFromBundle } from "../bundle.ts";
import { type Check, failed, ok, type Result, skipped } from "../check.ts";
import { describe, look, quote, readText } from "../files.ts";
import { commonName } from "../identity.ts";
import type { Patient } from "../patient.ts";

const names = ["ca.crt", "worker.crt", "worker.key"] as const;

/** Why the checks of certificates are left out. */
export const notNeeded = "neither master-host nor listen is set";

/** Whether the three files are there, can be read, are PEM, and fit each other. */
export const certificates: Check = {
  name: "certificates",
  code: 3,
  async run(patient) {
    if (!patient.needsCertificates) return skipped(notNeeded);
    for (const name of names) {
      const problem = await fileProblem(patient, name);
      if (problem) return problem;
    }
    const folder = patient.options.agent.agentDirectory;
    const identity = await patient.identity();
    if (!("problem" in identity)) {
      const [own] = identity.chain;
      return ok(`${folder}: worker.crt names ${commonName(own.subject)}, worker.key fits it`);
    }
    for (const name of names) {
      const mend = conversion(`${folder}/${name}`, await readText(`${folder}/${name}`));
      if (mend !== null && identity.problem.includes(`/${name}:`)) {
        return failed(identity.problem, mend);
      }
    }
    return failed(
      identity.problem,
      await installFromBundle(patient, "worker.crt", "worker.key"),
    );
  },
};

async function fileProblem(patient: Patient, name: string): Promise<Result | null> {
  const folder = patient.options.agent.agentDirectory;
  const path = `${folder}/${name}`;
  const user = await patient.agentUser();
  const sight = await look(path);
  const why = (text: string) => `Cannot use ${path}: ${text}`;
  if (sight === "absent") {
    const sights = await Promise.all(names.map((it) => look(`${folder}/${it}`)));
    const absent = names.filter((_, index) => sights[index] === "absent");
    return failed(why("no such file"), await installFromBundle(patient, ...absent));
  }
  const own = `chown -R ${user.name}: ${quote(folder)}`;
  if (sight === "forbidden") {
    return failed(why(`user ${user.name} may not look into a folder`), own);
  }
  if (!sight.isFile) {
    return failed(why("not a regular file"), `mv ${quote(path)} ${quote(`${path}.old`)}`);
  }
  const saw = describe(sight, patient.accounts);
  // Whoever has the key is this host for the master.
  if (name === "worker.key" && ((sight.mode ?? 0) & 0o007) !== 0) {
    return failed([why("every user of this host can use it"), saw], `chmod o= ${quote(path)}`);
  }
  if (!mayUse(user, sight, reading)) {
    return failed([why(`user ${user.name} may not read it`), saw], own);
  }
  return null;
}

/** The command that makes PEM of a file, where its content shows that this is what it lacks. */
function conversion(path: string, text: string | null): string | null {
  if (text === null) return null;
  const [from, to] = [quote(path), quote(`${path}.new`)];
  const isKey = path.endsWith(".key");
  if (isKey && text.includes("ENCRYPTED")) {
    return `openssl pkey -in ${from} -out ${to} && mv ${to} ${from}`;
  }
  // DER begins with a sequence, which is 0.
  if (!text.startsWith("0")) return null;
  return `openssl ${
    isKey ? "pkey" : "x509"
  } -inform DER -in ${from} -out ${to} && mv ${to} ${from}`;
}
