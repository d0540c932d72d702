import type { AgentOptions } from "../agent/heartbeat.ts";
import { exists } from "../host/files.ts";

/** What a check has found. */
export interface Result {
  readonly state: "ok" | "skipped" | "warning" | "failed";
  /** What was found, or why the check was skipped; one fact a line. */
  readonly details: readonly string[];
  /**
   * How to fix it: a sentence, with a command after `: ` only if all in it is constant, except for
   * quoted paths of the agent's own configuration. A name from Docker, a peer or a file of others
   * never stands in a command. Null when nothing is wrong.
   */
  readonly fix: string | null;
}

/** One entry in the list of checks. */
export interface Check {
  readonly name: string;
  /** The exit code after a failure: 2 for Docker and the master, 3 for everything else. */
  readonly code: 2 | 3;
  /** Must change nothing. An error that it throws is reported as a failure. */
  readonly run: (context: DoctorContext) => Promise<Result> | Result;
}

/** Makes the result of a check that found nothing wrong. */
export function ok(...details: string[]): Result {
  return { state: "ok", details, fix: null };
}

/** Makes the result of a check that could not be made, or was not needed. */
export function skipped(why: string): Result {
  return { state: "skipped", details: [why], fix: null };
}

/** Makes the result for a problem with which the agent still works. */
export function warning(details: string | readonly string[], fix: string): Result {
  return { state: "warning", details: [details].flat(), fix };
}

/** Makes the result for a problem that keeps the agent from working. */
export function failed(details: string | readonly string[], fix: string): Result {
  return { state: "failed", details: [details].flat(), fix };
}

/** The keys that a fix may ask to change. */
type KeyToSet =
  | "docker-host"
  | "network-prefix"
  | "container-prefix"
  | "swarmctl-port"
  | "master-name"
  | "master-fingerprint"
  | "syslog-port"
  | "listen"
  | "supersede";

/** Something that is wrong with the configuration. */
export interface ConfigurationProblem {
  readonly text: string;
  /** A sentence; after `: ` a command. */
  readonly fix: string;
  /** Whether the other commands go on in spite of it. */
  readonly isWarning: boolean;
}

/** The configuration, with where each part comes from and what is wrong with it. */
export interface ConfigReport {
  /** What is wrong in it is replaced by defaults. */
  readonly configuration: {
    readonly agent: Omit<AgentOptions, "agentVersion">;
    /** Where the API listens; null: nowhere. */
    readonly listen: { readonly host: string; readonly port: number } | null;
    /** Where the lines of the decoys go; null: nowhere. */
    readonly logs: { readonly host: string; readonly port: number } | null;
    /** Where the metrics go; null: nowhere. */
    readonly textfile: string | null;
    readonly intervalMs: number;
  };
  /** Each key that is set: its value as it was given, and by what. */
  readonly settings: readonly { readonly key: string; readonly text: string }[];
  readonly problems: readonly ConfigurationProblem[];
  /** Returns where a key is set or can be set, and what makes the service read it. */
  readonly placeOf: (key: KeyToSet) => string;
  /** The port of a master where none is configured. */
  readonly defaultPort: number;
  /** The path of the executable, and whether a unit can start it there. */
  readonly program: { readonly path: string; readonly isStartable: boolean };
  /** Returns the line that calls the agent with these words, and with what was set by flags. */
  readonly lineOf: (...words: string[]) => string;
}

/** What is known of the host before the checks. */
interface DoctorOptions {
  readonly config: ConfigReport;
  readonly versions: { readonly agent: string; readonly deno: string; readonly sqlite: string };
  readonly uid: number;
  /** Aborted when the time is up. */
  readonly signal: AbortSignal;
  /** Where other agents of this host may keep their state. */
  readonly otherStateDirectories?: readonly string[];
  /** Put before the paths of the system's own files. */
  readonly root?: string;
  /** How long a master has to refuse worker.crt after a handshake, in milliseconds. */
  readonly settleMs?: number;
}

/** The host that is examined. */
export class DoctorContext {
  readonly config: ConfigReport;
  readonly agent: ConfigReport["configuration"]["agent"];
  readonly root: string;
  readonly accounts: Accounts;
  /** The user who runs the doctor. */
  readonly user: Account;
  readonly stateDirectory: string;
  /** Whether systemd runs this host. */
  readonly hasSystemd: boolean;
  readonly #probed = new Map<unknown, Promise<unknown>>();

  constructor(readonly options: DoctorOptions) {
    const { config, root = "", uid } = options;
    this.config = config;
    this.agent = config.configuration.agent;
    this.root = root;
    this.accounts = new Accounts(root);
    this.user = this.accounts.byUid(uid);
    this.stateDirectory = parentOf(this.agent.storePath);
    this.hasSystemd = exists(`${root}/run/systemd/units`);
  }

  /** Ends a sentence with a command of systemd, where systemd runs this host. */
  withSystemd(sentence: string, command: string): string {
    return this.hasSystemd ? `${sentence}: ${command}` : sentence;
  }

  /** Runs a probe on its first call, and returns the same result to all checks that need it. */
  once<T>(probe: (context: DoctorContext) => Promise<T>): Promise<T> {
    if (!this.#probed.has(probe)) this.#probed.set(probe, probe(this));
    return this.#probed.get(probe) as Promise<T>;
  }
}

/** A user of this host; without an entry in /etc/passwd, its number is the name. */
export interface Account {
  readonly uid: number;
  readonly name: string;
  /** The groups that the files put it in. */
  readonly groups: ReadonlySet<number>;
}

/** The users and groups in /etc/passwd and /etc/group. */
export class Accounts {
  readonly #users: readonly string[][];
  readonly #groups: readonly string[][];

  /** `root` is put before the paths; a file that cannot be read counts as empty. */
  constructor(root: string) {
    this.#users = readFields(`${root}/etc/passwd`);
    this.#groups = readFields(`${root}/etc/group`);
  }

  /** The user with this number. */
  byUid(uid: number): Account {
    const user = this.#users.find((fields) => fields[2] === String(uid));
    return this.#account(uid, user?.[0] ?? String(uid), user?.[3]);
  }

  /** The user of this name, or null. */
  byName(name: string): Account | null {
    const user = this.#users.find((fields) => fields[0] === name);
    return user ? this.#account(Number(user[2]), name, user[3]) : null;
  }

  /** The name of a group; its number where it has none. */
  groupName(gid: number): string {
    return this.#groups.find((fields) => fields[2] === String(gid))?.[0] ?? String(gid);
  }

  /** The number of a group, given by name or number; null when there is none. */
  groupNumber(name: string): number | null {
    const gid = /^\d+$/.test(name) ? name : this.#groups.find((fields) => fields[0] === name)?.[2];
    return gid === undefined ? null : Number(gid);
  }

  #account(uid: number, name: string, gid: string | undefined): Account {
    const member = this.#groups.filter((fields) => fields[3]?.split(",").includes(name));
    const groups = [gid, ...member.map((fields) => fields[2])].filter((it) => it !== undefined);
    return { uid, name, groups: new Set(groups.map(Number)) };
  }
}

/** Bits of a file's mode. */
export const reading = 4;
export const writing = 2;
export const searching = 1;

/** Returns true when the mode of a file allows a user all of `wanted`; root may do everything. */
export function mayUse(
  { uid, groups }: Account,
  file: Pick<Deno.FileInfo, "uid" | "gid" | "mode">,
  wanted: number,
): boolean {
  if (uid === 0) return true;
  const mode = file.mode ?? 0;
  const shift = file.uid === uid ? 6 : groups.has(file.gid ?? -1) ? 3 : 0;
  return (mode >> shift & wanted) === wanted;
}

function readFields(path: string): string[][] {
  try {
    return Deno.readTextFileSync(path).split("\n").map((line) => line.split(":"));
  } catch {
    return [];
  }
}

/** What stat found at a path. */
type StatResult = Deno.FileInfo | "absent" | "forbidden";

/**
 * Returns what is at a path; follows links, unless `stat` is `Deno.lstat`. Throws every other error of
 * the system.
 */
export async function look(path: string, stat = Deno.stat): Promise<StatResult> {
  try {
    return await stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "absent";
    if (error instanceof Deno.errors.NotADirectory) return "absent";
    if (error instanceof Deno.errors.PermissionDenied) return "forbidden";
    throw error;
  }
}

/** Owner, group and mode of a file in words. */
export function describe({ uid, gid, mode }: Deno.FileInfo, accounts: Accounts): string {
  const owner = accounts.byUid(uid ?? -1).name;
  return `owner ${owner}, group ${accounts.groupName(gid ?? -1)}, mode ${modeOf(mode)}`;
}

/** The text of a small file, or null when it cannot be read. */
export async function readText(path: string): Promise<string | null> {
  try {
    const { isFile, size } = await Deno.stat(path);
    return isFile && size <= 2 ** 20 ? await Deno.readTextFile(path) : null;
  } catch {
    return null;
  }
}

/** The names in a folder; none when it cannot be read. */
export async function namesIn(path: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name).sort();
  } catch {
    return [];
  }
}

/** Quotes a path for a shell, so that no command takes it for an option. */
export function quotePath(path: string): string {
  return quote(path.startsWith("-") ? `./${path}` : path);
}

/** Returns how to move away what lies at a path. */
export function moveAway(path: string): string {
  return `move it away: mv ${quotePath(path)} ${quotePath(`${path}.old`)}`;
}

/** Quotes a word for a shell, if this is needed. */
export function quote(text: string): string {
  return /^[\w./:@%+,=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function modeOf(mode: number | null): string {
  return ((mode ?? 0) & 0o7777).toString(8).padStart(4, "0");
}

/** The folder that a path is in. */
export function parentOf(path: string): string {
  const end = path.lastIndexOf("/");
  return end < 0 ? "." : path.slice(0, end) || "/";
}
