import { timeOf } from "./certificates.ts";
import {
  type Check,
  type DoctorContext,
  failed,
  ok,
  type Result,
  skipped,
  warning,
} from "./context.ts";
import { type Account, describe, look, mayUse, quote, searching, writing } from "./files.ts";
import { findSpaceProblem, isReadOnly, readLivingOwner, remount, showTakers } from "./probes.ts";
import type { Service } from "./service_files.ts";

const lost = "what is applied is forgotten with the agent, and no apply by hand works";

/** Whether the agent can keep its state. */
export const stateDirectory: Check = {
  name: "state-dir",
  code: 3,
  async run(context) {
    const path = context.stateDirectory;
    const user = await context.agentUser();
    const sight = await look(path);
    const make = `install -d -o ${user.name} -m 700 ${quote(path)}`;
    if (sight === "forbidden") {
      return failed(`${path}: user ${user.name} may not look into a folder above it`, make);
    }
    if (sight === "absent") {
      const parent = await nearest(path);
      const info = await look(parent);
      const canMake = typeof info === "object" && info.isDirectory &&
        mayUse(user, info, writing | searching);
      const text = `${path} does not exist`;
      if (await isReadOnly(parent)) {
        return failed(`${text}, and the file system of ${parent} is read-only`, remount(parent));
      }
      if (canMake) {
        return await fullness(parent, user) ??
          ok(`${text} yet: the loop and the first apply make it`);
      }
      return failed(`${text}, and user ${user.name} may not make it in ${parent}`, make);
    }
    const details = `${path}: ${describe(sight, context.accounts)}`;
    if (!sight.isDirectory) {
      const aside = `mv ${quote(path)} ${quote(`${path}.old`)}`;
      return failed(`${path} is no folder`, aside);
    }
    const own = `chown -R ${user.name}: ${quote(path)}`;
    if (!mayUse(user, sight, searching)) {
      return failed([details, `user ${user.name} may not look into it`], own);
    }
    if (!mayUse(user, sight, writing)) {
      return warning([details, `user ${user.name} may not write in it: ${lost}`], own);
    }
    const isOpen = ((sight.mode ?? 0) & 0o002) !== 0;
    const danger = isOpen ? ["every user of this host may replace what is in it"] : [];
    // Where there is a store, that check tells it.
    const hasStore = await look(context.options.agent.storePath) !== "absent";
    if (!hasStore && await isReadOnly(path)) {
      const text = `the file system of ${path} is read-only: ${lost}`;
      return warning([text, details, ...danger], remount(path));
    }
    const full = await fullness(path, user, details, ...danger);
    if (full) return full;
    return isOpen ? warning([details, ...danger], `chmod o-w ${quote(path)}`) : ok(details);
  },
};

/** A warning where the file system of a folder has hardly any room left. */
async function fullness(folder: string, { uid }: Account, ...details: string[]) {
  const problem = await findSpaceProblem(folder, uid === 0);
  return problem && warning([problem.text, ...details], showTakers(folder, problem.kind));
}

/** The lowest folder above a path that exists. */
async function nearest(path: string): Promise<string> {
  let parent = path;
  do parent = parent.replace(/\/[^/]*$/, "") || "/"; while (
    parent !== "/" && await look(parent) === "absent"
  );
  return parent;
}

/** Less than that between two beats is nothing to be told of, in milliseconds. */
const leastSilenceMs = 15 * 60_000;
const dropIns = "/etc/systemd/system/decnet-agent.service.d";

/** Whether the metrics can be written, and are, where a loop is to write them. */
export const textfile: Check = {
  name: "textfile",
  code: 3,
  async run(context) {
    const { textfile: path } = context.options;
    if (path === null) return skipped("textfile is not set");
    const folder = folderOf(path);
    const user = await context.agentUser();
    return await folderProblem(folder, user) ?? await judge(context, path, folder);
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

async function judge(context: DoctorContext, path: string, folder: string): Promise<Result> {
  const sight = await look(path);
  if (typeof sight === "object" && !sight.isFile) {
    return warning(`${path} is no regular file`, `mv ${quote(path)} ${quote(`${path}.old`)}`);
  }
  const writtenAt = typeof sight === "object" ? sight.mtime?.getTime() ?? 0 : null;
  const details = writtenAt === null
    ? `${path} does not exist`
    : `${path} was written at ${timeOf(writtenAt)}`;
  const lockPath = `${context.stateDirectory}/agent.lock`;
  const loop = await readLivingOwner(lockPath);
  if (!loop) return ok(`${details}; no loop runs`);
  const longMs = Math.max(leastSilenceMs, 3 * context.options.intervalMs);
  const isOld = (time: number | null) => time !== null && Date.now() - time > longMs;
  const isSilent = writtenAt === null || isOld(writtenAt);
  if (!isSilent || !isOld(loop.since)) return ok(details);
  const why = `${details}, although a loop has run since ${timeOf(loop.since!)}`;
  const service = await context.service();
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
