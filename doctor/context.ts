import type { AgentOptions } from "../agent/heartbeat.ts";
import { systemPaths } from "../host/files.ts";
import { type Account, Accounts, look, quote } from "./files.ts";
import {
  type EngineFindings,
  type Identity,
  lookAtEngine,
  lookAtMaster,
  type MasterFindings,
  readIdentity,
  readStore,
  type StoreFindings,
} from "./probes.ts";
import { readService, type Service } from "./service_files.ts";

/** What a check has found. */
export type Result =
  | {
    readonly state: "ok" | "skipped";
    /** What was seen, or why nothing was looked at; each line is a fact of its own. */
    readonly details: readonly string[];
  }
  | {
    readonly state: "warning" | "failed";
    readonly details: readonly string[];
    /** The one command that mends it. */
    readonly fix: string;
  };

/** One thing that is looked at. */
export interface Check {
  readonly name: string;
  /** The exit code that a failure asks for: 2 for Docker and the master, 3 for all else. */
  readonly code: 2 | 3;
  /** Looks, and changes nothing. What it throws counts as a failure. */
  readonly run: (context: DoctorContext) => Promise<Result> | Result;
}

/** All is well. */
export function ok(...details: string[]): Result {
  return { state: "ok", details };
}

/** It was not looked at. */
export function skipped(why: string): Result {
  return { state: "skipped", details: [why] };
}

/** Something is not as it should be, and the agent goes on all the same. */
export function warning(details: string | readonly string[], fix: string): Result {
  return { state: "warning", details: [details].flat(), fix };
}

/** Something that the agent needs does not work. */
export function failed(details: string | readonly string[], fix: string): Result {
  return { state: "failed", details: [details].flat(), fix };
}

/** What is known of the host before anything is looked at. */
interface DoctorOptions {
  readonly agent: Omit<AgentOptions, "agentVersion">;
  /** Where the API listens; null: nowhere. */
  readonly listen: { readonly host: string; readonly port: number } | null;
  /** Where the metrics go; null: nowhere. */
  readonly textfile: string | null;
  /** The time between two beats. */
  readonly intervalMs: number;
  readonly versions: { readonly agent: string; readonly deno: string; readonly sqlite: string };
  /** Each key that is set, with its value and where that comes from. */
  readonly settings: readonly { readonly key: string; readonly text: string }[];
  /** What is wrong with the configuration. */
  readonly problems: readonly {
    readonly text: string;
    readonly fix: string;
    readonly isWarning: boolean;
  }[];
  /** The command that gives a key another value. */
  readonly commandToSet: (key: KeyToSet, value: string) => string;
  /** The same for several keys at once. */
  readonly commandToSetAll: (values: readonly (readonly [KeyToSet, string])[]) => string;
  /** The line that calls the agent with these words, and with the flags that the doctor was given. */
  readonly lineOf: (...words: string[]) => string;
  /** Put before the paths of the system's own files. */
  readonly root?: string;
  /** Where other agents of this host may keep their state. */
  readonly otherStateDirectories?: readonly string[];
  readonly uid: number;
  /** How long a master has to refuse worker.crt after a handshake, in milliseconds. */
  readonly settleMs?: number;
  /** Aborted when the time is up. */
  readonly signal: AbortSignal;
}

/** The keys that a mend may set. */
type KeyToSet =
  | "docker-host"
  | "network-prefix"
  | "container-prefix"
  | "swarmctl-port"
  | "master-name"
  | "master-fingerprint"
  | "listen";

/** The host that is looked at: what several checks need is looked at once. */
export class DoctorContext {
  readonly options: DoctorOptions;
  readonly root: string;
  readonly accounts: Accounts;
  /** Who looks. */
  readonly user: Account;
  readonly stateDirectory: string;
  readonly engine: () => Promise<EngineFindings>;
  readonly identity: () => Promise<Identity>;
  readonly master: () => Promise<MasterFindings>;
  readonly service: () => Promise<Service>;
  readonly store: () => Promise<StoreFindings>;

  constructor(options: DoctorOptions) {
    const { agent, signal, root = "" } = options;
    this.options = options;
    this.root = root;
    this.accounts = new Accounts(root);
    this.user = this.accounts.byUid(options.uid);
    this.stateDirectory = agent.storePath.replace(/\/[^/]*$/, "") || "/";
    this.engine = once(() => lookAtEngine(agent, signal));
    this.identity = once(() => readIdentity(agent.agentDirectory));
    this.master = once(async () => lookAtMaster(agent, await this.identity(), options));
    this.service = once(() => readService(root));
    this.store = once(() => readStore(agent.storePath, signal));
  }

  /** Whether certificates are of any use here. */
  get needsCertificates(): boolean {
    return this.options.agent.master !== null || this.options.listen !== null;
  }

  /** The one who runs the agent: the unit tells root whom it is for, and with which groups. */
  async agentUser(): Promise<Account> {
    if (this.user.uid !== 0) return this.user;
    const { user, groups } = await this.service();
    const account = user === null ? null : this.accounts.byName(user);
    if (!account) return this.user;
    const added = groups.map((it) => this.accounts.groupNumber(it)).filter((it) => it !== null);
    return { ...account, groups: new Set([...account.groups, ...added]) };
  }

  /** The command line that calls the agent on this state, as the user whose state it is. */
  async command(...words: string[]): Promise<string> {
    const user = await this.agentUser();
    const folder = user.uid === this.user.uid ? null : await look(this.stateDirectory);
    const isTheirs = folder !== null && typeof folder === "object" && folder.uid === user.uid;
    // What root makes there, the agent could not change later.
    const prefix = isTheirs ? `runuser -u ${user.name} -- ` : "";
    return prefix + this.options.lineOf(...words);
  }
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | null = null;
  return () => result ??= work();
}

/** The command that takes files from what the master has issued for this host. */
export async function installFromBundle(
  context: DoctorContext,
  ...files: string[]
): Promise<string> {
  const { agentDirectory } = context.options.agent;
  const user = await context.agentUser();
  const owner = user.uid === 0 ? "" : `-o ${user.name} `;
  const mode = files.includes("worker.key") ? "600" : "644";
  const sources = files.map((it) => `BUNDLE/${it}`).join(" ");
  if (await look(agentDirectory) !== "absent") {
    return `install ${owner}-m ${mode} ${sources} ${quote(`${agentDirectory}/`)}`;
  }
  const make = (folder: string) => `install -D ${owner}-m ${mode} -t ${quote(folder)} ${sources}`;
  const isConfigured = context.options.settings.some(({ key }) => key === "agent-dir");
  const service = await context.service();
  if (isConfigured || (context.user.uid !== 0 && service.unit === null)) {
    return make(agentDirectory);
  }
  // Nobody but this user would look into this user's home, and the service's user has none.
  const restart = service.isActive ? " && systemctl restart decnet-agent" : "";
  return make(systemPaths.certificates) + restart;
}
