import { type Account, mayUse, searching, writing } from "../accounts.ts";
import { type Check, ok, type Result, skipped, warning } from "../check.ts";
import { isReadOnly, remount } from "../file_system.ts";
import { look, quote } from "../files.ts";
import { readLivingHolder } from "../holder.ts";
import type { Patient } from "../patient.ts";
import type { Service } from "../service.ts";
import { timeOf } from "./validity.ts";

/** Less than that between two beats is nothing to be told of, in milliseconds. */
const leastSilenceMs = 15 * 60_000;
const dropIns = "/etc/systemd/system/decnet-agent.service.d";

/** Whether the metrics can be written, and are, where a loop is to write them. */
export const textfile: Check = {
  name: "textfile",
  code: 3,
  async run(patient) {
    const { textfile: path } = patient.options;
    if (path === null) return skipped("textfile is not set");
    const folder = folderOf(path);
    const user = await patient.agentUser();
    return await folderProblem(folder, user) ?? await judge(patient, path, folder);
  },
};

async function folderProblem(folder: string, user: Account): Promise<Result | null> {
  const sight = await look(folder);
  if (sight === "absent") {
    const make = `install -d -o ${user.name} -m 755 ${quote(folder)}`;
    return warning(`the folder of the metrics, ${folder}, does not exist`, make);
  }
  if (sight === "forbidden") {
    const why = `user ${user.name} may not look into a folder above ${folder}`;
    return warning(why, `namei -l ${quote(folder)}`);
  }
  if (!sight.isDirectory) {
    const aside = `mv ${quote(folder)} ${quote(`${folder}.old`)}`;
    return warning(`${folder}, where the metrics go, is no folder`, aside);
  }
  // An access list may give more than the mode shows, but never more than the group's bits.
  const wanted = writing | searching;
  const isListed = mayUse({ ...user, groups: new Set([sight.gid ?? 0]) }, sight, wanted);
  if (!mayUse(user, sight, wanted) && !isListed) {
    const grant = `setfacl -m u:${user.name}:rwx ${quote(folder)}`;
    return warning(`user ${user.name} may not write to ${folder}, where the metrics go`, grant);
  }
  if (!await isReadOnly(folder)) return null;
  return warning(
    `the file system of ${folder}, where the metrics go, is read-only`,
    remount(folder),
  );
}

async function judge(patient: Patient, path: string, folder: string): Promise<Result> {
  const sight = await look(path);
  if (typeof sight === "object" && !sight.isFile) {
    return warning(`${path} is no regular file`, `mv ${quote(path)} ${quote(`${path}.old`)}`);
  }
  const writtenAt = typeof sight === "object" ? sight.mtime?.getTime() ?? 0 : null;
  const saw = writtenAt === null
    ? `${path} does not exist`
    : `${path} was written at ${timeOf(writtenAt)}`;
  const lockPath = `${patient.stateDirectory}/agent.lock`;
  const loop = await readLivingHolder(lockPath);
  if (!loop) return ok(`${saw}; no loop runs`);
  const longMs = Math.max(leastSilenceMs, 3 * patient.options.intervalMs);
  const isOld = (time: number | null) => time !== null && Date.now() - time > longMs;
  const isSilent = writtenAt === null || isOld(writtenAt);
  if (!isSilent || !isOld(loop.since)) return ok(saw);
  const why = `${saw}, although a loop has run since ${timeOf(loop.since!)}`;
  const service = await patient.service();
  if (!service.isActive) {
    return warning(`${why}; it may have read no textfile yet`, `fuser -k -HUP ${quote(lockPath)}`);
  }
  if (hides(service, folder)) {
    const text = `[Service]\\nReadWritePaths=${folder}\\n`;
    const file = `${dropIns}/textfile.conf`;
    return warning(
      `${why}; the unit lets it write to no such folder`,
      `mkdir -p ${dropIns} && printf ${quote(text)} > ${file} && systemctl daemon-reload && ` +
        "systemctl restart decnet-agent",
    );
  }
  return warning(
    `${why}; it may have read no textfile yet, else its log says why`,
    "systemctl reload decnet-agent",
  );
}

/** Whether a unit has all but some folders read-only, and this one is not among them. */
function hides({ unit }: Service, folder: string): boolean {
  if (unit?.last("ProtectSystem")?.value !== "strict") return false;
  const paths = unit.all("ReadWritePaths").flatMap(({ value }) => value.split(/\s+/))
    .map((path) => path.replace(/^[-+]+/, "").replace(/\/$/, ""));
  return !paths.some((path) => `${folder}/`.startsWith(`${path}/`));
}

function folderOf(path: string): string {
  const end = path.lastIndexOf("/");
  return end < 0 ? "." : path.slice(0, end) || "/";
}
