import assert from "node:assert/strict";
import { statFile } from "../../host/files.ts";
import type { Identity } from "../../master/certificates.ts";
import { call, type CallOptions, type Reply } from "./api_setup.ts";
import {
  type Authority,
  createAuthority,
  type IssueOptions,
  writeAgentDirectory,
} from "./certificates.ts";
import { freePort } from "./environment.ts";
import { FakeEngine } from "./engine/fake_engine.ts";
import { requirement } from "./requirements.ts";
import { assertNoSecrets } from "./secrets.ts";
import { TlsMaster } from "./tls_master.ts";

/** The executable under test; `task test` compiles it first. */
export const binary = new URL("../../dist/decnet-agent", import.meta.url).pathname;

/** How a run of the executable ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly elapsedMs: number;
}

/** A host of its own in a temporary folder: a socket, a state folder and certificates. */
export class Host implements AsyncDisposable {
  readonly socket: string;
  readonly stateDirectory: string;
  readonly agentDirectory: string;
  readonly #disposables: AsyncDisposable[] = [];

  private constructor(readonly folder: string) {
    this.socket = `${folder}/docker.sock`;
    this.stateDirectory = `${folder}/state`;
    this.agentDirectory = `${folder}/agent`;
  }

  static async create(): Promise<Host> {
    return new Host(await Deno.makeTempDir({ prefix: "decnet-binary-" }));
  }

  get storePath(): string {
    return `${this.stateDirectory}/topology.db`;
  }

  /** Starts a stand-in engine on this host's socket. */
  async startEngine(): Promise<FakeEngine> {
    const engine = await FakeEngine.start(this.socket);
    this.#disposables.push(engine);
    return engine;
  }

  /**
   * Starts a master that trusts the certificates which this host gets; `validity` is that of its own.
   */
  async startMaster(
    validity: Pick<IssueOptions, "notBefore" | "notAfter"> = {},
  ): Promise<{ master: TlsMaster; authority: Authority }> {
    const authority = await createAuthority("test authority");
    const server = { commonName: "master", dnsNames: ["master.test"], usage: "server" } as const;
    const certificate = await authority.issue({
      ...server,
      dnsNames: [...server.dnsNames],
      ...validity,
    });
    const master = await TlsMaster.start({ authority, certificate });
    this.#disposables.push(master);
    await Deno.mkdir(this.agentDirectory, { recursive: true });
    const worker = await authority.issue({ commonName: "host-1", usage: "client" });
    await writeAgentDirectory(this.agentDirectory, authority, worker);
    return { master, authority };
  }

  /** The flags by which the agent finds this host, and nothing of the machine around it. */
  flags(master?: TlsMaster): string[] {
    return [
      `--docker-host=unix://${this.socket}`,
      // An apply would look at the ports of this machine.
      "--publish=off",
      `--state-dir=${this.stateDirectory}`,
      `--agent-dir=${this.agentDirectory}`,
      ...(master
        ? [
          "--master-host=127.0.0.1",
          `--swarmctl-port=${master.port}`,
          "--master-name=master.test",
          "--host-uuid=11111111-aaaa-4bbb-8ccc-222222222222",
        ]
        : []),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const disposable of this.#disposables) await disposable[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/**
 * Starts the executable with an environment that holds nothing of this one but the PATH. Throws
 * `Error` when it was not compiled.
 */
export function spawn(
  args: readonly string[],
  { env = {}, wrapper = [] }: { env?: Record<string, string>; wrapper?: readonly string[] } = {},
): Deno.ChildProcess {
  if (statFile(binary) === null) throw new Error(`${binary} is missing: run deno task compile`);
  const [program, ...rest] = [...wrapper, binary, ...args] as [string, ...string[]];
  return new Deno.Command(program, {
    args: rest,
    // Without a HOME, the runtime looks the user up, for which the C library asks nscd.
    env: { PATH: Deno.env.get("PATH") ?? "", HOME: "/nonexistent", ...env },
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs the executable to its end. */
export async function execute(
  args: readonly string[],
  options: { env?: Record<string, string>; wrapper?: readonly string[] } = {},
): Promise<Ended> {
  const startedAt = performance.now();
  const { code, stdout, stderr } = await spawn(args, options).output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: assertNoSecrets(decoder.decode(stdout)),
    stderr: assertNoSecrets(decoder.decode(stderr)),
    elapsedMs: performance.now() - startedAt,
  };
}

/** How long the agent may take for what a test waits for, and to end when it is told to. */
const patienceMs = 20_000;

/** The executable's loop in a process of its own; it is killed when the test is over. */
export class RunningAgent implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #done: Promise<unknown>;
  #stdout = "";
  #stderr = "";
  #code: number | null = null;

  constructor(
    args: readonly string[],
    options: { wrapper?: readonly string[]; env?: Record<string, string> } = {},
  ) {
    this.#process = spawn(args, options);
    this.#done = Promise.all([
      collect(this.#process.stdout, (text) => this.#stdout += text),
      collect(this.#process.stderr, (text) => this.#stderr += text),
      this.#process.status,
    ]).then(([, , { code }]) => this.#code = code);
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** What it has written to standard error until now. */
  get stderr(): string {
    return this.#stderr;
  }

  /** The targets of its open file descriptors. Throws `Error`, with its stderr, when it has ended. */
  openFiles(): string[] {
    this.#mustRun();
    const folder = `/proc/${this.#process.pid}/fd`;
    return [...Deno.readDirSync(folder)].map(({ name }) => {
      try {
        return Deno.readLinkSync(`${folder}/${name}`);
      } catch {
        return "closed meanwhile";
      }
    });
  }

  /** The most memory that it has had until now, in bytes. Throws `Error` when it has ended. */
  peakMemory(): number {
    this.#mustRun();
    const status = Deno.readTextFileSync(`/proc/${this.#process.pid}/status`);
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
  }

  /** Waits until something has happened. Throws `Error`, with its stderr, when it ends before. */
  async until(condition: () => boolean): Promise<void> {
    const startedAt = performance.now();
    while (!condition()) {
      this.#mustRun();
      if (performance.now() - startedAt > patienceMs) {
        throw new Error(`In vain waited ${patienceMs} ms for ${condition}: ${this.stderr}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Sends it a signal that does not end it. */
  signal(signal: "SIGSTOP" | "SIGCONT" | "SIGHUP"): void {
    this.#process.kill(signal);
  }

  /** Ends it; but for SIGKILL, asserts that it exits with 0 within 2 s. Returns what it has written. */
  async stop(signal: "SIGTERM" | "SIGINT" | "SIGKILL" = "SIGTERM") {
    this.#mustRun();
    const startedAt = performance.now();
    this.#process.kill(signal);
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), patienceMs);
    await this.#done;
    clearTimeout(timer);
    const ms = performance.now() - startedAt;
    const isInTime = this.#code === 0 && ms < 2_000;
    assert.ok(signal === "SIGKILL" || isInTime, `${this.#code} after ${ms} ms: ${this.stderr}`);
    return { stdout: assertNoSecrets(this.#stdout), stderr: assertNoSecrets(this.#stderr) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#code === null) this.#process.kill("SIGKILL");
    await this.#done;
    assertNoSecrets(this.#stdout + this.#stderr);
  }

  #mustRun(): void {
    if (this.#code !== null) throw new Error(`The agent ended with ${this.#code}: ${this.stderr}`);
  }
}

async function collect(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  add: (text: string) => void,
): Promise<void> {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) add(text);
}

/** A host whose agent listens, and the master that may call it. */
export class ListeningHost implements AsyncDisposable {
  /** Start the agent, which sends every 5 s and listens. */
  readonly flags: readonly string[];
  readonly #caller: Identity;

  private constructor(
    readonly host: Host,
    readonly master: TlsMaster,
    readonly port: number,
    caller: Identity,
  ) {
    this.flags = ["--interval=5s", `--listen=127.0.0.1:${port}`, ...host.flags(master)];
    this.#caller = caller;
  }

  static async create(): Promise<ListeningHost> {
    const host = await Host.create();
    const { master, authority } = await host.startMaster();
    const ipAddresses = ["127.0.0.1"];
    const worker = await authority.issue({ commonName: "host-1", ipAddresses });
    await writeAgentDirectory(host.agentDirectory, authority, worker);
    return new ListeningHost(host, master, freePort(), await masterIdentity(authority));
  }

  /** Calls the agent as the master. Throws `Error` when there is no answer. */
  call(path: string, options: CallOptions = {}): Promise<Reply> {
    return call(this.port, path, this.#caller, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
  }
}

async function masterIdentity(authority: Authority) {
  const { certificatePem, keyPem } = await authority.issue({ commonName: "decnet-master" });
  return { authority: authority.certificatePem, certificate: certificatePem, key: keyPem };
}

/** Where control groups that limit memory can be made, and what the limit is called there. */
interface Hierarchy {
  readonly folder: string;
  readonly limit: string;
}

/** The hierarchy of the first version that has memory, or that of the second; null without one. */
function findHierarchy(): Hierarchy | null {
  for (const line of Deno.readTextFileSync("/proc/self/mountinfo").split("\n")) {
    const [before = "", after = ""] = line.split(" - ");
    const folder = before.split(" ")[4]!;
    if (after.startsWith("cgroup ") && /[ ,]memory(,|$)/.test(after)) {
      return { folder, limit: "memory.limit_in_bytes" };
    }
    if (!after.startsWith("cgroup2 ")) continue;
    const file = `${folder}/cgroup.subtree_control`;
    if (Deno.readTextFileSync(file).split(/\s/).includes("memory")) {
      return { folder, limit: "memory.max" };
    }
  }
  return null;
}

const hierarchy = findHierarchy();

/** A control group of its own, which may take so much memory, swap apart. */
export class MemoryGroup implements Disposable {
  readonly #folder: string;

  constructor(mebibytes: number) {
    this.#folder = `${hierarchy!.folder}/decnet-test-${crypto.randomUUID()}`;
    Deno.mkdirSync(this.#folder);
    Deno.writeTextFileSync(`${this.#folder}/${hierarchy!.limit}`, String(mebibytes * 2 ** 20));
  }

  /** Starts a program in it. */
  get wrapper(): string[] {
    return ["sh", "-c", `echo $$ > ${this.#folder}/cgroup.procs && exec "$0" "$@"`];
  }

  /** All that ran in it must have ended. */
  [Symbol.dispose](): void {
    Deno.removeSync(this.#folder);
  }
}

function canLimit(): boolean {
  try {
    new MemoryGroup(64)[Symbol.dispose]();
    return true;
  } catch {
    return false;
  }
}

/** What tests with limited memory need. */
export const memoryGroups = requirement(
  "the right to limit memory by control groups",
  hierarchy !== null && canLimit(),
);

/** The library that feigns the time; null when it is not installed. */
const library = findLibrary();

/** What tests with another time need. */
export const faketime = requirement("faketime", library !== null);

/** A wall clock for one program, which can be set while it runs. */
export class WallClock {
  readonly #path: string;

  constructor(folder: string) {
    this.#path = `${folder}/wall-clock`;
    this.set("+0");
  }

  /** Sets it, by the time that it is: `+365d`. The monotonic clock stays as it is. */
  set(offset: string): void {
    // Renamed, so that it is never read half written.
    Deno.writeTextFileSync(`${this.#path}.new`, `${offset}\n`);
    Deno.renameSync(`${this.#path}.new`, this.#path);
  }

  /** What starts a program with this clock. */
  get wrapper(): string[] {
    return feign(
      `FAKETIME_TIMESTAMP_FILE=${this.#path}`,
      "FAKETIME_NO_CACHE=1",
      "FAKETIME_DONT_FAKE_MONOTONIC=1",
    );
  }
}

/** What starts a program for which all time passes so many times as fast. */
export function hurried(factor: number): string[] {
  return feign(`FAKETIME=+0 x${factor}`);
}

function feign(...settings: string[]): string[] {
  return ["env", `LD_PRELOAD=${library}`, ...settings];
}

function findLibrary(): string | null {
  const folders = [...Deno.readDirSync("/usr/lib")].filter(({ isDirectory }) => isDirectory)
    .map(({ name }) => `/usr/lib/${name}/faketime`);
  for (const folder of ["/usr/lib/faketime", ...folders]) {
    const path = `${folder}/libfaketime.so.1`;
    try {
      if (Deno.statSync(path).isFile) return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return null;
}
