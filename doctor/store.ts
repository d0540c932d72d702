import { findWriteProblem, listQuarantined, lockPathOf } from "../store/file.ts";
import type { AppliedTopology } from "../store/row.ts";
import { type Check, type DoctorContext, failed, ok, type Result, warning } from "./context.ts";
import { describe, look, quote } from "./files.ts";
import { describeOwner, type LockOwner, readLockOwner, remount } from "./probes.ts";
import { unit } from "./service_files.ts";

/** From then on an apply takes longer than any master waits for it, in milliseconds. */
const longApplyMs = 600_000;

/** Who runs with this state, by what the lock files tell; neither of the locks is taken. */
export const lock: Check = {
  name: "lock",
  code: 3,
  async run(context) {
    const loopPath = `${context.stateDirectory}/agent.lock`;
    const applyPath = lockPathOf(context.options.agent.storePath);
    const [loop, apply] = await Promise.all([loopPath, applyPath].map(readLockOwner));
    const details = [
      loop ? describeOwner(loop, loopPath) : `no loop runs with ${loopPath}`,
      ...(apply ? [describeOwner(apply, applyPath)] : []),
    ];
    if (apply && apply.isThere !== false && ageOf(apply) > longApplyMs) {
      const long = "an apply or a teardown has been under way for over 10 minutes";
      return warning([long, ...details], endCommand(applyPath));
    }
    const service = await context.service();
    const isService = !service.hasSystemd || service.unit === null || service.isActive;
    if (loop && loop.isThere !== false && !isService) {
      const foreign = `agent.lock names a process that is none of ${unit}: another loop, beside ` +
        "which the service cannot start";
      const orDead = loop.isThere === null ? ", or one that was killed" : "";
      return warning([foreign + orDead, ...details], endCommand(loopPath));
    }
    return ok(...details);
  },
};

/** Ends who holds a lock; where nobody does, it empties the file that a killed process has left. */
export function endCommand(path: string): string {
  const file = quote(path);
  return `flock -n ${file} truncate -s 0 ${file} || fuser -k -TERM ${file}`;
}

function ageOf({ since }: LockOwner): number {
  return since === null ? 0 : Date.now() - since;
}

/** Whether the store can be read and written, and what is in it. */
export const store: Check = {
  name: "store",
  code: 3,
  async run(context) {
    const findings = await context.store();
    const path = context.options.agent.storePath;
    const file = quote(path);
    const unread = (detail: string) => `Cannot read the store ${path}: ${detail}`;
    switch (findings.state) {
      case "absent":
        return quarantine(path) ?? ok(`${path} does not exist: nothing was applied`);
      case "forbidden":
        return failed(unread(findings.detail), await ownCommand(context));
      case "not a file":
      case "damaged":
        return failed(unread(findings.detail), `mv ${file} ${quote(`${path}.damaged`)}`);
      case "wal": {
        const why = "reading it would leave files beside it";
        return warning(
          `${path}: ${findings.detail}, and ${why}`,
          `sqlite3 ${file} 'PRAGMA journal_mode = DELETE'`,
        );
      }
      case "journal": {
        const rest = `${path}-journal is what a crash left of a change`;
        return warning(
          `${rest}; whoever opens the store undoes it`,
          await context.command("state"),
        );
      }
      case "locked":
        return failed(unread("database is locked, for 2 s already"), `fuser -v ${file}`);
      case "error":
        return failed(unread(findings.detail), await ownCommand(context));
      case "read":
        return await judge(context, findings.applied);
    }
  },
};

async function judge(context: DoctorContext, applied: AppliedTopology | null): Promise<Result> {
  const path = context.options.agent.storePath;
  const details = [`${path}: ${contentOf(applied)}`];
  const info = await look(path);
  if (typeof info === "object") {
    details.push(describe(info, context.accounts));
    const user = await context.agentUser();
    if (user.uid !== 0 && info.uid !== user.uid) {
      const whose = `it belongs to ${context.accounts.byUid(info.uid ?? -1).name}`;
      return warning(
        [`${whose}, and not to ${user.name}: somebody applied as another user`, ...details],
        await ownCommand(context),
      );
    }
    if (((info.mode ?? 0) & 0o077) !== 0) {
      const danger = "others may read it, and topologies hold passwords";
      return warning([danger, ...details], `chmod go= ${quote(path)}`);
    }
  }
  const unwritable = findWriteProblem(path);
  if (unwritable !== null) {
    // Then owners and modes are of no consequence.
    const fix = unwritable.reason === "read-only-mount"
      ? remount(context.stateDirectory)
      : await ownCommand(context);
    return warning([unwritable.message, ...details], fix);
  }
  if (applied?.hasOlderRows) {
    const newest =
      "SELECT rowid FROM applied_topology ORDER BY applied_at DESC, topology_id LIMIT 1";
    const rest = `DELETE FROM applied_topology WHERE rowid NOT IN (${newest})`;
    return warning(
      ["the store holds more than one row; the newest counts", ...details],
      `sqlite3 ${quote(path)} '${rest}'`,
    );
  }
  if (applied?.lastError) {
    const error = `the last apply or teardown failed: ${applied.lastError}`;
    return warning([error, ...details], await applyAgain(context));
  }
  return quarantine(path, details) ?? ok(...details);
}

/** The command that applies what is stored once more. */
export function applyAgain(context: DoctorContext): Promise<string> {
  return context.command("apply", "--stored");
}

async function ownCommand(context: DoctorContext): Promise<string> {
  const { name } = await context.agentUser();
  return `chown -R ${name}: ${quote(context.stateDirectory)}`;
}

function quarantine(path: string, details: readonly string[] = []): Result | null {
  const files = listQuarantined(path);
  if (files.length === 0) return null;
  const text = `the store was damaged and is set aside as ${files.join(", ")}`;
  return warning(
    [`${text}; send it or look at it, then remove it`, ...details],
    `rm ${files.map(quote).join(" ")}`,
  );
}

function contentOf(applied: AppliedTopology | null): string {
  if (!applied) return "nothing is applied";
  const { topologyId, versionHash, appliedAt } = applied;
  if (versionHash === "") return `topology ${topologyId}, of which nothing was applied to the end`;
  const at = new Date(appliedAt * 1000);
  const time = Number.isNaN(at.getTime()) ? String(appliedAt) : at.toISOString();
  return `topology ${topologyId} at ${versionHash.slice(0, 12)}, applied ${time}`;
}
