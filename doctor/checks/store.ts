import { type AppliedTopology, findWriteProblem, listSetAside } from "../../store/mod.ts";
import { type Check, failed, ok, type Result, warning } from "../check.ts";
import { remount } from "../file_system.ts";
import { describe, look, quote } from "../files.ts";
import type { Patient } from "../patient.ts";

/** Whether the store can be read and written, and what is in it. */
export const store: Check = {
  name: "store",
  code: 3,
  async run(patient) {
    const findings = await patient.store();
    const path = patient.options.agent.storePath;
    const file = quote(path);
    const unread = (detail: string) => `Cannot read the store ${path}: ${detail}`;
    switch (findings.state) {
      case "absent":
        return setAside(path) ?? ok(`${path} does not exist: nothing was applied`);
      case "forbidden":
        return failed(unread(findings.detail), await ownCommand(patient));
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
          await patient.command("state"),
        );
      }
      case "locked":
        return failed(unread("database is locked, for 2 s already"), `fuser -v ${file}`);
      case "error":
        return failed(unread(findings.detail), await ownCommand(patient));
      case "read":
        return await judge(patient, findings.applied);
    }
  },
};

async function judge(patient: Patient, applied: AppliedTopology | null): Promise<Result> {
  const path = patient.options.agent.storePath;
  const saw = [`${path}: ${contentOf(applied)}`];
  const info = await look(path);
  if (typeof info === "object") {
    saw.push(describe(info, patient.accounts));
    const user = await patient.agentUser();
    if (user.uid !== 0 && info.uid !== user.uid) {
      const whose = `it belongs to ${patient.accounts.byUid(info.uid ?? -1).name}`;
      return warning(
        [`${whose}, and not to ${user.name}: somebody applied as another user`, ...saw],
        await ownCommand(patient),
      );
    }
    if (((info.mode ?? 0) & 0o077) !== 0) {
      const danger = "others may read it, and topologies hold passwords";
      return warning([danger, ...saw], `chmod go= ${quote(path)}`);
    }
  }
  const unwritable = findWriteProblem(path);
  if (unwritable !== null) {
    // Then owners and modes are of no consequence.
    const mend = unwritable.includes("Read-only file system")
      ? remount(patient.stateDirectory)
      : await ownCommand(patient);
    return warning([unwritable, ...saw], mend);
  }
  if (applied?.hasOlderRows) {
    const newest =
      "SELECT rowid FROM applied_topology ORDER BY applied_at DESC, topology_id LIMIT 1";
    const rest = `DELETE FROM applied_topology WHERE rowid NOT IN (${newest})`;
    return warning(
      ["the store holds more than one row; the newest counts", ...saw],
      `sqlite3 ${quote(path)} '${rest}'`,
    );
  }
  if (applied?.lastError) {
    const error = `the last apply or teardown failed: ${applied.lastError}`;
    return warning([error, ...saw], await applyAgain(patient));
  }
  return setAside(path, saw) ?? ok(...saw);
}

/** The command that applies what is stored once more. */
export function applyAgain(patient: Patient): Promise<string> {
  return patient.command("apply", "--stored");
}

async function ownCommand(patient: Patient): Promise<string> {
  const { name } = await patient.agentUser();
  return `chown -R ${name}: ${quote(patient.stateDirectory)}`;
}

function setAside(path: string, saw: readonly string[] = []): Result | null {
  const files = listSetAside(path);
  if (files.length === 0) return null;
  const text = `the store was damaged and is set aside as ${files.join(", ")}`;
  return warning(
    [`${text}; send it or look at it, then remove it`, ...saw],
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
