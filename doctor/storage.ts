import { exists, folderOf } from "../host/files.ts";
import { timeOf } from "../host/log.ts";
import {
  explain,
  findWriteError,
  listQuarantined,
  storeReason,
  writeProblem,
} from "../store/file.ts";
import { describeRefusedPush, readRefusedPush, type RefusedPush } from "../store/history.ts";
import { findDamage } from "../store/recovery.ts";
import type { AppliedTopology } from "../store/row.ts";
import { readRow } from "../store/topology_store.ts";
import { type DoctorContext, failed, ok, type Result, skipped, warning } from "./context.ts";
import { readRunningAgent } from "./service.ts";
import {
  type Account,
  describe,
  look,
  makeOwner,
  mayUse,
  moveAway,
  openFoldersAbove,
  quotePath,
  searching,
  writing,
} from "./system.ts";

const lost = "the applied topology is lost when the agent stops, and apply by hand fails";

/** Checks that the agent can write to the state directory. */
export async function checkStateDirectory(context: DoctorContext): Promise<Result> {
  const { stateDirectory: path, agentUser: user } = context;
  const own = makeOwner(path, user);
  const info = await look(path);
  if (info === "absent") return await judgeAbsentFolder(path, user);
  if (info === "forbidden") {
    const text = `${path}: user ${user.name} cannot enter a folder above it`;
    return failed(text, openFoldersAbove(path, user));
  }
  const details = `${path}: ${describe(info, context.accounts)}`;
  if (!info.isDirectory) return failed(`${path} is no folder`, moveAway(path));
  if (!mayUse(user, info, searching)) {
    return failed([details, `user ${user.name} cannot enter it`], own);
  }
  if (!mayUse(user, info, writing)) {
    return warning([details, `user ${user.name} cannot write to it: ${lost}`], own);
  }
  const isOpen = ((info.mode ?? 0) & 0o002) !== 0;
  const facts = isOpen ? [details, "every user of this host may replace what is in it"] : [details];
  // If there is a store, its check reports a read-only file system.
  if (!exists(context.agent.storePath) && await isReadOnly(path)) {
    return warning([`the file system of ${path} is read-only: ${lost}`, ...facts], remount(path));
  }
  const full = await findSpaceProblem(path, user, ...facts);
  if (full) return full;
  if (!isOpen) return ok(...facts);
  return warning(facts, `remove the write access of other users: chmod o-w ${quotePath(path)}`);
}

async function judgeAbsentFolder(path: string, user: Account): Promise<Result> {
  let parent = folderOf(path);
  while (parent !== "/" && await look(parent) === "absent") parent = folderOf(parent);
  const text = `${path} does not exist`;
  if (await isReadOnly(parent)) {
    return failed(`${text}, and the file system of ${parent} is read-only`, remount(parent));
  }
  const info = await look(parent);
  if (typeof info === "object" && info.isDirectory && mayUse(user, info, writing | searching)) {
    return await findSpaceProblem(parent, user) ??
      ok(`${text} yet: the agent or the first apply creates it`);
  }
  const fix = `create ${path} with mode 0700, owned by ${user.name}`;
  return failed(`${text}, and user ${user.name} cannot create it in ${parent}`, fix);
}

/** The free space that a large document may need, in bytes. */
const leastFree = 16 * 2 ** 20;

/** Returns a warning when the file system of a folder is full or nearly full. */
async function findSpaceProblem(
  folder: string,
  { uid }: Account,
  ...details: string[]
): Promise<Result | null> {
  const { statfs } = await import("node:fs/promises");
  const { bsize, bfree, bavail, files, ffree } = await statfs(folder);
  const biggest = (command: string) =>
    `see what uses the space: ${command} ${mountOf(folder)} | sort -n | tail -n 20`;
  // Some file systems count no files.
  if (files > 0 && ffree === 0) {
    const text = `no files can be made on the file system of ${folder}`;
    return warning([text, ...details], biggest("du --inodes -xd 3"));
  }
  // A part is reserved for root.
  const free = (uid === 0 ? bfree : bavail) * bsize;
  if (free >= leastFree) return null;
  const size = `${Math.floor(free / 2 ** 20)} MiB`;
  const text = `only ${size} are free on the file system of ${folder}: an apply may fail`;
  return warning([text, ...details], biggest("du -xmd 3"));
}

/** Returns true when the file system of a folder is read-only. */
async function isReadOnly(folder: string): Promise<boolean> {
  // To rename an absent file changes nothing; a read-only file system reports EROFS before ENOENT.
  const absent = `${folder}/.${crypto.randomUUID()}`;
  try {
    if (await look(absent) === "absent") await Deno.rename(absent, `${absent}.new`);
  } catch (error) {
    return (error as { code?: string }).code === "EROFS";
  }
  return false;
}

function mountOf(folder: string): string {
  return `"$(findmnt -n -o TARGET -T ${quotePath(folder)})"`;
}

function remount(folder: string): string {
  return `make it writable: mount -o remount,rw ${mountOf(folder)}`;
}

/** How long to wait for a locked store, and the pause between two tries, in milliseconds. */
const lockedTimeoutMs = 2_000;
const pauseMs = 50;

/** The content of the store, or why it cannot be read without a change. */
type StoreFindings =
  | { readonly kind: "absent" }
  | { readonly kind: "read"; readonly applied: AppliedTopology | null }
  | {
    readonly kind: "forbidden" | "not-a-file" | "damaged" | "locked" | "journal" | "wal" | "error";
    readonly detail: string;
  };

/**
 * Reads the store; for `context.once()`. Does not open it where SQLite would write: to undo a change
 * that a crash interrupted, or files beside a store in WAL mode.
 */
export async function readStore(
  { agent, options: { signal } }: DoctorContext,
): Promise<StoreFindings> {
  for (const startedAt = performance.now();;) {
    const findings = await readStoreOnce(agent.storePath);
    const isPassing = findings.kind === "locked" || findings.kind === "journal";
    const isOver = signal.aborted || performance.now() - startedAt > lockedTimeoutMs;
    if (!isPassing || isOver) return findings;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

async function readStoreOnce(path: string): Promise<StoreFindings> {
  // The agent refuses a link, which may lead to another user's file.
  const file = await look(path, Deno.lstat);
  if (file === "absent") return { kind: "absent" };
  if (file === "forbidden") return { kind: "forbidden", detail: "permission denied" };
  if (!file.isFile) return { kind: "not-a-file", detail: "it is not a regular file" };
  try {
    if (await isWal(path)) return { kind: "wal", detail: "the file is in WAL mode" };
    if (await look(`${path}-journal`) !== "absent") {
      return { kind: "journal", detail: "a change is half-written" };
    }
    const damage = findDamage(path);
    if (damage !== null) return { kind: "damaged", detail: damage };
    return { kind: "read", applied: readRow(path) };
  } catch (error) {
    const isForbidden = error instanceof Deno.errors.PermissionDenied;
    const kind = storeReason(error) === "locked" ? "locked" : isForbidden ? "forbidden" : "error";
    return { kind, detail: explain(error) };
  }
}

/** Returns true when the header of a SQLite file names WAL mode (byte 18 is 2). */
async function isWal(path: string): Promise<boolean> {
  const file = await Deno.open(path);
  try {
    const head = new Uint8Array(20);
    const count = await file.read(head);
    const isDatabase = new TextDecoder().decode(head.subarray(0, 15)) === "SQLite format 3";
    return count === head.length && isDatabase && head[18] === 2;
  } finally {
    file.close();
  }
}

/** Checks that the store can be read and written, and reports its content. */
export async function checkStore(context: DoctorContext): Promise<Result> {
  const findings = await context.once(readStore);
  const path = context.agent.storePath;
  if (findings.kind === "absent") {
    return quarantined(path) ?? await findFirstAgentStore(context) ??
      ok(`${path} does not exist: nothing was applied`);
  }
  if (findings.kind === "read") return await judgeStore(context, findings.applied);
  const unread = `Cannot read the store ${path}: ${findings.detail}`;
  switch (findings.kind) {
    case "not-a-file":
    case "damaged":
      return failed(unread, moveAway(path));
    case "locked":
      return failed(
        `${unread}, for ${lockedTimeoutMs / 1000} s already`,
        `see which process has it open: fuser -v ${quotePath(path)}`,
      );
    case "wal":
      return warning(
        `${path}: ${findings.detail}, and to read it would create files beside it`,
        `leave WAL mode: sqlite3 ${quotePath(path)} 'PRAGMA journal_mode = DELETE'`,
      );
    case "journal":
      return warning(
        `${path}-journal belongs to a change that a crash interrupted; the next process that opens the store undoes it`,
        context.callAgent("let the agent undo the change", "state"),
      );
    default:
      return failed(unread, makeOwner(context.stateDirectory, context.agentUser));
  }
}

/** Returns a warning when the first agent has left a store beside its certificates. */
async function findFirstAgentStore(context: DoctorContext): Promise<Result | null> {
  const { agentDirectory, storePath } = context.agent;
  const old = `${agentDirectory}/topology.db`;
  // In a folder that this user cannot enter, there is usually none.
  if (typeof await look(old) !== "object") return null;
  const files = `${quotePath(old)} ${quotePath(storePath)}`;
  const fix = `copy it: install -o ${context.agentUser.name} -m 0600 ${files}`;
  return warning(`${storePath} does not exist, but the first agent has left ${old}`, fix);
}

async function judgeStore(
  context: DoctorContext,
  applied: AppliedTopology | null,
): Promise<Result> {
  const { agent: { storePath: path }, agentUser: user } = context;
  const info = await look(path);
  const details = [`${path}: ${contentOf(applied)}`];
  const own = makeOwner(context.stateDirectory, user);
  if (typeof info === "object") {
    details.push(describe(info, context.accounts));
    if (user.uid !== 0 && info.uid !== user.uid) {
      const whose = `it belongs to ${context.accounts.byUid(info.uid ?? -1).name}`;
      const text = `${whose}, and not to ${user.name}: an apply ran as another user`;
      return warning([text, ...details], own);
    }
    if (((info.mode ?? 0) & 0o077) !== 0) {
      const danger = "others may read it, and topologies hold passwords";
      return warning([danger, ...details], `allow only its owner: chmod go= ${quotePath(path)}`);
    }
  }
  const unwritable = findWriteError(path);
  if (unwritable !== null) {
    const isMount = storeReason(unwritable) === "read-only-mount";
    const fix = isMount ? remount(context.stateDirectory) : own;
    return warning([writeProblem(unwritable), ...details], fix);
  }
  if (applied?.lastError) {
    details.unshift(`the last apply or teardown failed: ${applied.lastError}`);
  }
  const refused = applied && readRefusedPush(path, applied.topologyId);
  if (refused) {
    return warning([describeRefusedPush(refused), ...details], refusalFix(context, refused));
  }
  if (applied?.lastError) {
    // The store does not say which of both it was.
    const what = "apply the stored topology again, unless a teardown of it has failed";
    return warning(details, context.callAgent(what, "apply", "--stored"));
  }
  return quarantined(path, details) ?? ok(...details);
}

/** Returns what lets the next push succeed. */
function refusalFix({ config }: DoctorContext, { code }: RefusedPush): string {
  switch (code) {
    case "conflict":
      return "tear the stored topology down for this host, at the master or, where its apply has " +
        `failed, here; or set supersede = true ${config.placeOf("supersede")}`;
    case "loop":
      return "at the master, tear down all but one topology for this host";
    case "failed":
      return "correct what the refusal names; the next push is applied then";
  }
}

/** Returns how to apply the stored topology again. */
export function applyAgain(context: DoctorContext): string {
  return context.callAgent("apply the stored topology again", "apply", "--stored");
}

function quarantined(path: string, details: readonly string[] = []): Result | null {
  const files = listQuarantined(path);
  if (files.length === 0) return null;
  const text = `the store was damaged and is kept as ${files.join(", ")}`;
  return warning([text, ...details], "keep these files until the cause is known, then delete them");
}

function contentOf(applied: AppliedTopology | null): string {
  if (!applied) return "nothing is applied";
  const { topologyId, versionHash, appliedAt } = applied;
  if (versionHash === "") return `topology ${topologyId}, of which nothing was applied completely`;
  // A file may hold a number that is no time.
  const appliedMs = new Date(appliedAt * 1000).getTime();
  return `topology ${topologyId} at ${versionHash.slice(0, 12)}, applied ${timeOf(appliedMs)}`;
}

/** Metrics newer than this cause no warning, in milliseconds. */
const leastSilenceMs = 15 * 60_000;

/** Checks that metrics can be written, and that a running agent writes them. */
export async function checkTextfile(context: DoctorContext): Promise<Result> {
  const { agentUser: user, config: { configuration: { textfile: path, intervalMs } } } = context;
  if (path === null) return skipped("textfile is not set");
  const problem = await findFolderProblem(folderOf(path), user);
  if (problem) return problem;
  const info = await look(path);
  if (typeof info === "object" && !info.isFile) {
    return warning(`${path} is no regular file`, moveAway(path));
  }
  const writtenAt = typeof info === "object" ? info.mtime?.getTime() ?? 0 : null;
  const state = writtenAt === null ? "does not exist" : `was written at ${timeOf(writtenAt)}`;
  const details = `${path} ${state}`;
  const agent = await readRunningAgent(context.stateDirectory);
  if (!agent) return ok(`${details}; no agent is running`);
  const longAgo = Date.now() - Math.max(leastSilenceMs, 3 * intervalMs);
  if ((writtenAt ?? 0) >= longAgo || !(Date.parse(agent.since) < longAgo)) return ok(details);
  return warning(
    `${details}, although an agent has been running since ${agent.since}: its log says why, or ` +
      "it has not read the key textfile yet",
    context.service.isActive
      ? "reload the configuration: systemctl reload decnet-agent"
      : "send SIGHUP to that process",
  );
}

async function findFolderProblem(folder: string, user: Account): Promise<Result | null> {
  const info = await look(folder);
  if (typeof info !== "object" || !info.isDirectory) {
    const text = `${folder}, where the metrics go, is no folder that user ${user.name} can enter`;
    return warning(text, `create ${folder} with mode 0755, owned by ${user.name}`);
  }
  // With an access list, the bits of the group are the upper limit of what it gives.
  const listed = { ...user, groups: new Set([...user.groups, info.gid ?? 0]) };
  if (!mayUse(listed, info, writing | searching)) {
    const fix = `let user ${user.name} write to ${folder} (chown, chmod or setfacl)`;
    return warning(`user ${user.name} cannot write to ${folder}, where the metrics go`, fix);
  }
  if (!await isReadOnly(folder)) return null;
  const text = `the file system of ${folder}, where the metrics go, is read-only`;
  return warning(text, remount(folder));
}
