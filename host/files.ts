/** Where the files of an agent are that runs as a service. */
export const systemPaths = {
  config: "/etc/decnet/decnet.ini",
  /** The folder of ca.crt, worker.crt and worker.key. */
  certificates: "/etc/decnet/agent",
  state: "/var/lib/decnet-agent",
} as const;

const maximumConfigBytes = 2 ** 20;
const maximumInputBytes = 64 * 2 ** 20;

/** Returns what `work` returns for a file; null when the file is absent. */
export function unlessAbsent<T>(work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/**
 * Returns the text of a configuration file; null when it is absent. Throws `Error` unless it is a
 * regular file of at most 1 MiB: reading a pipe or a device may never end.
 */
export function readConfigFile(path: string): string | null {
  return unlessAbsent(() => {
    const { isFile, size } = Deno.statSync(path);
    if (isFile && size <= maximumConfigBytes) return Deno.readTextFileSync(path);
    throw new Error("it is not a regular file of at most 1 MiB");
  });
}

/** Returns the bytes of a file, or of standard input for `-`. Throws `Error` above 64 MiB. */
export async function readInput(path: string): Promise<Uint8Array> {
  const stream = path === "-" ? Deno.stdin.readable : (await Deno.open(path)).readable;
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const chunk of stream) {
    length += chunk.length;
    if (length > maximumInputBytes) throw new Error("it is larger than 64 MiB");
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/** Returns the folder of the file at `path`. */
export function folderOf(path: string): string {
  const end = path.lastIndexOf("/");
  return end < 0 ? "." : path.slice(0, end) || "/";
}

/** Creates the folder of the file at `path`, for the owner alone. */
export function createFolderOf(path: string): void {
  try {
    Deno.mkdirSync(folderOf(path), { recursive: true, mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    throw new Deno.errors.NotADirectory("Not a directory");
  }
}

/**
 * Why a file cannot be used when the runtime throws `NotCapable`: it keeps these paths from programs that
 * do not have all permissions. Its own message names a flag that the agent does not have.
 */
export const forbiddenPath = "the agent may not use files in /dev, /proc and /sys";

/** Returns true unless `path` is absent: a file without permission exists. */
export function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}

/** Returns what is at `path`, without following a link; null when it is absent. */
export function statFile(path: string): Deno.FileInfo | null {
  return unlessAbsent(() => Deno.lstatSync(path));
}

/** Opens a file; returns null when it is absent. */
export function openIfPresent(path: string, options?: Deno.OpenOptions): Deno.FsFile | null {
  return unlessAbsent(() => Deno.openSync(path, options));
}

/**
 * Returns the text of a small file of the agent's own; null when it is absent, too large, or what
 * `linkProblem` refuses.
 */
export function readSmallFile(path: string, maximumBytes: number): string | null {
  const present = statFile(path);
  if (!present || linkProblem(present) !== null || present.size > maximumBytes) return null;
  const file = openIfPresent(path);
  if (!file) return null;
  try {
    const bytes = new Uint8Array(maximumBytes);
    return new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0));
  } finally {
    file.close();
  }
}

/**
 * Returns why a file must not be written, as a predicate; null when it may. Root refuses a hard link:
 * the user of the folder could have given a file of another user a name there.
 */
export function linkProblem(
  { isFile, nlink }: Deno.FileInfo,
  uid: number | null = Deno.uid(),
): string | null {
  if (!isFile) return "is not a regular file";
  if (uid !== 0 || (nlink ?? 1) <= 1) return null;
  return "has another name, too (a hard link); put a copy of it in its place";
}

/** Returns a text that changes when the file or folder at `path`, or behind a link, is replaced. */
export function identityOf(path: string): string {
  try {
    const { dev, ino } = Deno.statSync(path);
    return `${dev} ${ino}`;
  } catch {
    return "absent";
  }
}
