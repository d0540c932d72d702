import type { AgentOptions } from "../agent/heartbeat.ts";
import { exists, folderOf, statFile } from "../host/files.ts";
import { type Account, Accounts } from "./system.ts";
import type { Service } from "./unit.ts";

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
export function skipped(...details: string[]): Result {
  return { state: "skipped", details, fix: null };
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
  | "swarmctl-port"
  | "master-name"
  | "master-fingerprint"
  | "syslog-port"
  | "supersede";

/** Something that is wrong with the configuration. */
interface ConfigurationProblem {
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
  /** The variables of the environment that set a key. */
  readonly variables: readonly string[];
  /** Returns where a key is set or can be set, and what makes the service read it. */
  readonly placeOf: (key: KeyToSet) => string;
  /** The port of a master where none is configured. */
  readonly defaultPort: number;
  /** The path of the executable. */
  readonly program: string;
  /** Returns the line that calls the agent with these words, and with what was set by flags. */
  readonly lineOf: (...words: string[]) => string;
}

/** What is known of the host before the checks. */
interface DoctorOptions {
  readonly config: ConfigReport;
  /** Null where it is not known. */
  readonly versions: Readonly<Record<"agent" | "date" | "deno" | "sqlite", string | null>>;
  readonly uid: number;
  readonly service: Service;
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
  /** The user who runs the agent: for root the user of the unit, else the current user. */
  readonly agentUser: Account;
  readonly service: Service;
  readonly stateDirectory: string;
  /** Whether systemd runs this host. */
  readonly hasSystemd: boolean;
  readonly #probed = new Map<unknown, Promise<unknown>>();

  constructor(readonly options: DoctorOptions) {
    const { config, root = "", uid, service } = options;
    this.config = config;
    this.agent = config.configuration.agent;
    this.root = root;
    this.accounts = new Accounts(root);
    this.user = this.accounts.byUid(uid);
    this.service = service;
    this.agentUser = this.#findAgentUser();
    this.stateDirectory = folderOf(this.agent.storePath);
    this.hasSystemd = exists(`${root}/run/systemd/units`);
  }

  /** Ends a sentence with a command of systemd, where systemd runs this host. */
  withSystemd(sentence: string, command: string): string {
    return this.hasSystemd ? `${sentence}: ${command}` : sentence;
  }

  /** Ends a sentence with the command line that calls the agent, and the user to call it as. */
  callAgent(sentence: string, ...words: string[]): string {
    // If root ran it, the agent could not change the files that root creates.
    const isTheirs = this.agentUser.uid !== this.user.uid &&
      statFile(this.stateDirectory)?.uid === this.agentUser.uid;
    const who = isTheirs ? `, as user ${this.agentUser.name}` : "";
    return `${sentence}${who}: ${this.config.lineOf(...words)}`;
  }

  #findAgentUser(): Account {
    const { accounts, user: own, service: { user, groups } } = this;
    const account = own.uid !== 0 || user === null ? null : accounts.byName(user);
    if (!account) return own;
    const added = groups.map((it) => accounts.groupNumber(it)).filter((it) => it !== null);
    return { ...account, groups: new Set([...account.groups, ...added]) };
  }

  /** Runs a probe on its first call, and returns the same result to all checks that need it. */
  once<T>(probe: (context: DoctorContext) => Promise<T>): Promise<T> {
    if (!this.#probed.has(probe)) this.#probed.set(probe, probe(this));
    return this.#probed.get(probe) as Promise<T>;
  }
}
