import fs from "node:fs";
import { forbiddenPath } from "./files.ts";

/**
 * Replaces a file in one step, so that a reader sees the old text or the new one; every user may read
 * it. Returns null, or a text for operators that says why the file stays as it was.
 */
export function replaceTextFile(path: string, text: string): string | null {
  // Two processes may write at once. Collectors ignore names with this ending.
  const temporary = `${path}.${Deno.pid}.tmp`;
  try {
    const present = fs.statSync(path, { throwIfNoEntry: false });
    if (present?.isDirectory()) throw new Error("it is a folder; name a file in it");
    if (present && !present.isFile()) throw new Error("it is no regular file; name another one");
    // A killed process with the same id may have left it.
    fs.rmSync(temporary, { force: true });
    try {
      createTextFile(temporary, text);
      fs.renameSync(temporary, path);
    } finally {
      fs.rmSync(temporary, { force: true });
    }
    return null;
  } catch (error) {
    return `Cannot write ${path}: ${explain(error)}`;
  }
}

/** Follows no link, which another user with access to the folder could put there. */
function createTextFile(path: string, text: string): void {
  const file = fs.openSync(path, "wx", 0o644);
  try {
    // The umask may have removed bits. Deno's own functions set a mode by path only, and at the path
    // there may be another file by now.
    fs.fchmodSync(file, 0o644);
    fs.writeFileSync(file, text);
  } finally {
    fs.closeSync(file);
  }
}

const explanations: Record<string, string> = {
  ENOENT: "its folder does not exist; make it",
  ENOTDIR: "a part of its path is not a folder",
  EACCES: "permission denied; let the agent's user write to its folder",
  EPERM: "permission denied; let the agent's user write to its folder",
  EROFS: "the file system is read-only; under systemd, ReadWritePaths= must name its folder",
  ENOSPC: "no space is left; free some there",
  EDQUOT: "no space is left; free some there",
};

function explain(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) return `${forbiddenPath}; name another one`;
  const { code = "", message } = error as Error & { code?: string };
  return explanations[code] ?? message;
}
