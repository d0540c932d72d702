import type * as Fs from "node:fs";

/** Files that others may read at any time: they find the old text or the new one, whole. */
export class TextFiles {
  readonly #fs: typeof Fs;

  private constructor(fs: typeof Fs) {
    this.#fs = fs;
  }

  /** Loads what it takes, which a check that writes no such file need not do. */
  static async load(): Promise<TextFiles> {
    // The runtime's own functions set a mode by path only.
    return new TextFiles(await import("node:fs"));
  }

  /**
   * Puts a text in the place of a file in one step, for every user of the host to read. Throws
   * `Error`, fit for an operator, and then leaves the file as it was.
   */
  replace(path: string, text: string): void {
    const fs = this.#fs;
    // Two processes may be at it. Collectors pass over a name that ends like this.
    const temporary = `${path}.${Deno.pid}.tmp`;
    try {
      const there = fs.statSync(path, { throwIfNoEntry: false });
      if (there?.isDirectory()) throw new Error("it is a folder; name a file in it");
      if (there && !there.isFile()) throw new Error("it is no regular file; name another one");
      // One that was killed, and had this id, may have left it.
      fs.rmSync(temporary, { force: true });
      try {
        this.#writeNew(temporary, text);
        fs.renameSync(temporary, path);
      } catch (error) {
        fs.rmSync(temporary, { force: true });
        throw error;
      }
    } catch (cause) {
      throw new Error(`Cannot write ${path}: ${explain(cause)}`, { cause });
    }
  }

  /** Others may write to the folder, too: a link in the place of the new file is not followed. */
  #writeNew(path: string, text: string): void {
    const fs = this.#fs;
    const file = fs.openSync(path, "wx", 0o644);
    try {
      // Whatever the umask has taken away. By its path it might be another file by now.
      fs.fchmodSync(file, 0o644);
      fs.writeFileSync(file, text);
    } finally {
      fs.closeSync(file);
    }
  }
}

function explain(error: unknown): string {
  const { code, message } = error as Error & { code?: string };
  switch (code) {
    case "ENOENT":
      return "its folder does not exist; make it";
    case "ENOTDIR":
      return "a part of its path is not a folder";
    case "EACCES":
    case "EPERM":
      return "permission denied; let the agent's user write to its folder";
    case "EROFS":
      return "the file system is read-only; under systemd, ReadWritePaths= must name its folder";
    case "ENOSPC":
    case "EDQUOT":
      return "no space is left; free some there";
    default:
      return message;
  }
}
