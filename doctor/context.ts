import type { AgentOptions } from "../agent/heartbeat.ts";

/** What a check has found. */
export interface Result {
  readonly state: "ok" | "skipped" | "warning" | "failed";
  /** What was seen, or why nothing was looked at; each line is a fact of its own. */
  readonly details: readonly string[];
  /**
   * How to fix it: a sentence, after `: ` a command where it is constant but for quoted paths of the
   * agent. Never a command that changes what has a name from elsewhere. Null where nothing is wrong.
   */
  readonly fix: string | null;
}

/** One entry in the list of checks. */
export interface Check {
  readonly name: string;
  /** The exit code that a failure asks for: 2 for Docker and the master, 3 for all else. */
  readonly code: 2 | 3;
  /** Changes nothing. What it throws counts as a failure. */
  readonly run: (context: DoctorContext) => Promise<Result> | Result;
}

/** All is well. */
export function ok(...details: string[]): Result {
  return { state: "ok", details, fix: null };
}

/** It was not checked. */
export function skipped(why: string): Result {
  return { state: "skipped", details: [why], fix: null };
}

/** Something is wrong, but the agent still works. */
export function warning(details: string | readonly string[], fix: string): Result {
  return { state: "warning", details: [details].flat(), fix };
}

/** Something that the agent needs does not work. */
export function failed(details: string | readonly string[], fix: string): Result {
  return { state: "failed", details: [details].flat(), fix };
}

/** The keys that may have to be changed. */
type KeyToSet =
  | "docker-host"
  | "network-prefix"
  | "container-prefix"
  | "swarmctl-port"
  | "master-name"
  | "master-fingerprint"
  | "listen";

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
  readonly options: DoctorOptions;
  readonly config: ConfigReport;
  readonly agent: ConfigReport["configuration"]["agent"];
  readonly root: string;
  readonly accounts: Accounts;
  /** The user who runs the doctor. */
  readonly user: Account;
  readonly stateDirectory: string;
  readonly #probed = new Map<unknown, Promise<unknown>>();

  constructor(options: DoctorOptions) {
    const { config, root = "", uid } = options;
    this.options = options;
    this.config = config;
    this.agent = config.configuration.agent;
    this.root = root;
    this.accounts = new Accounts(root);
    this.user = this.accounts.byUid(uid);
    this.stateDirectory = parentOf(this.agent.storePath);
  }

  /** Runs a probe that several checks need, the first time that it is asked for. */
  once<T>(probe: (context: DoctorContext) => Promise<T>): Promise<T> {
    if (!this.#probed.has(probe)) this.#probed.set(probe, probe(this));
    return this.#probed.get(probe) as Promise<T>;
  }
}

/** A user of this host; one that is in no file has its number for a name. */
export interface Account {
  readonly uid: number;
  readonly name: string;
  /** The groups that the files put it in. */
  readonly groups: ReadonlySet<number>;
}

/** The users and groups of this host, as far as its own files know them. */
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

  /** The number of a group, which may be given by that already; null when there is none. */
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

/** What the bits of a file's mode allow. */
export const reading = 4;
export const writing = 2;
export const searching = 1;

/** Whether the mode of a file lets a user do something with it; root may do all. */
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

/** What is at a path: its description, nothing, or why it cannot be looked at. */
type StatResult = Deno.FileInfo | "absent" | "forbidden";

/** Looks at a path; a link is followed. Throws what the system says of anything unusual. */
export async function look(path: string): Promise<StatResult> {
  try {
    return await Deno.stat(path);
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

/** Quotes a path for a shell, where it must be quoted. */
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
