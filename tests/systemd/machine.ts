import { isAbsolute, join } from "node:path";
import { eventually } from "../support/environment.ts";

/** The output of a program, and its exit code. */
interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a program is run. */
interface ExecuteOptions {
  /** Ends the program. */
  readonly signal: AbortSignal;
  /** Which ends are no failure; 0 if not given. */
  readonly accept?: (code: number) => boolean;
}

/** Runs a program to its end. Throws `Error`, with its output, when it fails or does not exist. */
async function execute(
  program: string,
  args: readonly string[],
  { signal, accept = (code) => code === 0 }: ExecuteOptions,
): Promise<Ended> {
  signal.throwIfAborted();
  const output = await new Deno.Command(program, {
    args: [...args],
    env: { PATH: Deno.env.get("PATH") ?? "", LANG: "C.UTF-8", SYSTEMD_COLORS: "0" },
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal,
  }).output();
  signal.throwIfAborted();
  const decoder = new TextDecoder();
  const ended = {
    code: output.code,
    stdout: decoder.decode(output.stdout),
    stderr: decoder.decode(output.stderr),
  };
  if (accept(ended.code)) return ended;
  const said = `${ended.stdout}${ended.stderr}`.trim().slice(-2_000);
  throw new Error(`${program} ${args.join(" ")} ended with code ${ended.code}\n${said}`.trim());
}

/** The release that is booted; its systemd is 252, the oldest that the unit is made for. */
const release = "bookworm";
const packages = ["cron", "dbus", "procps", "systemd", "systemd-sysv"];

/**
 * Returns the root folder of a small Debian with systemd and cron. It is made once, with debootstrap,
 * and kept in the user's cache: nothing is ever written to it again, and one with other packages is
 * another folder.
 */
export async function findRootFolder(
  env: Readonly<Record<string, string>>,
  { signal, log }: { signal: AbortSignal; log: (line: string) => void },
): Promise<string> {
  const cache = join(cacheFolder(env), "decnet-agent");
  const root = join(cache, ["systemd", release, await digest(packages.join(" "))].join("-"));
  if (await isFolder(root)) return root;
  log(`Makes ${root} with debootstrap, which takes a minute`);
  await Deno.mkdir(cache, { recursive: true });
  const unfinished = await Deno.makeTempDir({ dir: cache, prefix: "debootstrap-" });
  try {
    // In namespaces of its own: when it is interrupted, its processes and mounts are gone, too.
    const namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const options = ["--variant=minbase", `--include=${packages.join(",")}`, release, unfinished];
    await execute("unshare", [...namespaces, "debootstrap", ...options], { signal });
    await Deno.chmod(unfinished, 0o755);
    await Deno.rename(unfinished, root);
  } catch (error) {
    await Deno.remove(unfinished, { recursive: true });
    throw error;
  }
  return root;
}

/** The beginning of a SHA-256, enough to tell a few apart. */
async function digest(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(bytes).toHex().slice(0, 8);
}

function cacheFolder({ XDG_CACHE_HOME: cache = "", HOME: home = "" }: Record<string, string>) {
  if (isAbsolute(cache)) return cache;
  if (isAbsolute(home)) return join(home, ".cache");
  throw new Error("Cannot find the cache: neither XDG_CACHE_HOME nor HOME is an absolute path");
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** What systemd-nspawn makes, with `--keep-unit`, inside the control group that it is started in. */
const names = ["payload", "supervisor"];

/** The control groups that a boot will leave behind: those that are not there yet. */
async function groupsToCome(): Promise<string[]> {
  const groups = (await ownFolders()).flatMap((it) => names.map((name) => `${it}/${name}`));
  return groups.filter((group) => !exists(group));
}

/** Removes control groups, with all that are in them. */
function removeGroups(groups: readonly string[]): void {
  for (const group of groups.filter(exists)) {
    removeGroups([...Deno.readDirSync(group)].flatMap(({ name, isDirectory }) => {
      return isDirectory ? [`${group}/${name}`] : [];
    }));
    Deno.removeSync(group);
  }
}

/** This process's own group, in each hierarchy that systemd uses. */
async function ownFolders(): Promise<string[]> {
  const [mounts, memberships] = await Promise.all([
    Deno.readTextFile("/proc/self/mountinfo"),
    Deno.readTextFile("/proc/self/cgroup"),
  ]);
  return mounts.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const hasPrefix = after.startsWith("cgroup ") && after.includes("name=systemd");
    if (!hasPrefix && !after.startsWith("cgroup2 ")) return [];
    // Such as 9:name=systemd:/path; that of the second version is 0::/path.
    const pattern = hasPrefix ? /^\d+:name=systemd:(.*)$/m : /^0::(.*)$/m;
    const path = pattern.exec(memberships)?.[1] ?? "/";
    return [`${before.split(" ")[4]}${path === "/" ? "" : path}`];
  });
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** How long it may take to shut down, in milliseconds; then it is killed. */
const shutdownMs = 15_000;

/** What a machine is booted from. */
interface MachineOptions {
  /** Nothing is written to it: what the machine writes is gone when it ends. */
  readonly root: string;
  /** Paths of this host and what they are inside. */
  readonly binds?: Readonly<Record<string, string>>;
  /** The same, but not to be written to. */
  readonly readOnlyBinds?: Readonly<Record<string, string>>;
  /** Ends all waiting. */
  readonly signal: AbortSignal;
}

/** A booted systemd in a container with the network of this host. */
export class Machine implements AsyncDisposable {
  readonly #container: Deno.ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #signal: AbortSignal;
  readonly #groups: readonly string[];
  #console = "";
  #hasEnded = false;
  /** The container's first process, as this host numbers it. */
  #init = 0;

  private constructor(container: Deno.ChildProcess, signal: AbortSignal, groups: string[]) {
    this.#container = container;
    this.#signal = signal;
    this.#groups = groups;
    this.#ended = Promise.all([
      container.status.then(() => this.#hasEnded = true),
      this.#listen(container.stdout),
      this.#listen(container.stderr),
    ]);
  }

  /** Boots a machine. Throws `Error`, with what its console showed, when it does not come up. */
  static async boot(
    { root, binds = {}, readOnlyBinds = {}, signal }: MachineOptions,
  ): Promise<Machine> {
    const groups = await groupsToCome();
    signal.throwIfAborted();
    const container = new Deno.Command("systemd-nspawn", {
      args: [
        ...[`--directory=${root}`, "--volatile=overlay", "--boot"],
        // There may be no systemd out here to register with.
        ...["--register=no", "--keep-unit", "--link-journal=no"],
        ...Object.entries(binds).map((it) => `--bind=${it.join(":")}`),
        ...Object.entries(readOnlyBinds).map((it) => `--bind-ro=${it.join(":")}`),
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const machine = new Machine(container, signal, groups);
    try {
      await machine.#comeUp();
      return machine;
    } catch (error) {
      await machine[Symbol.asyncDispose]();
      throw new Error(`Cannot boot systemd: ${(error as Error).message}\n${machine.#console}`, {
        cause: error,
      });
    }
  }

  /** Runs a program inside, as root. Throws `Error`, with its output, when it fails. */
  async run(
    [program, ...args]: readonly [string, ...string[]],
    { accept }: Pick<ExecuteOptions, "accept"> = {},
  ): Promise<Ended> {
    const spaces = ["--mount", "--uts", "--ipc", "--net", "--pid"];
    return await execute(
      "nsenter",
      [`--target=${this.#init}`, ...spaces, "--", program, ...args],
      { signal: this.#signal, ...(accept && { accept }) },
    );
  }

  /** Runs a command line inside, as root types it. Throws as {@linkcode run}. */
  async shell(command: string, options: Pick<ExecuteOptions, "accept"> = {}): Promise<Ended> {
    return await this.run(["sh", "-c", command], options);
  }

  /** The path by which this host reaches a path inside. */
  path(inside: string): string {
    return `/proc/${this.#init}/root${inside}`;
  }

  /** Shuts down. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#hasEnded) this.#container.kill("SIGTERM");
    const timer = setTimeout(() => {
      // With its first process everything in it ends.
      if (this.#init) Deno.kill(this.#init, "SIGKILL");
      if (!this.#hasEnded) this.#container.kill("SIGKILL");
    }, shutdownMs);
    await this.#ended;
    clearTimeout(timer);
    removeGroups(this.#groups);
  }

  async #comeUp(): Promise<void> {
    this.#init = await eventually("its first process", async () => await this.#findInit());
    await eventually("its services", async () => {
      this.#mustRun();
      const { stdout } = await this.run(["systemctl", "is-system-running"], { accept: () => true });
      // Degraded is a machine where some service of its own does not work in a container.
      return ["running", "degraded"].includes(stdout.trim()) || undefined;
    });
  }

  async #findInit(): Promise<number | undefined> {
    this.#mustRun();
    const { pid } = this.#container;
    const children = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`);
    for (const child of children.trim().split(" ").filter(Boolean).map(Number)) {
      const name = await Deno.readTextFile(`/proc/${child}/comm`).catch(() => "");
      if (name === "systemd\n") return child;
    }
    return undefined;
  }

  #mustRun(): void {
    this.#signal.throwIfAborted();
    if (this.#hasEnded) throw new Error("systemd-nspawn has ended");
  }

  /** Keeps the last of what the console shows. */
  async #listen(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.#console = (this.#console + text).slice(-3_000);
    }
  }
}

/** The user that the unit names. */
export const user = "decnet-agent";

/** Adds it as the comments of the unit say, to a group `docker` with the number of the socket. */
export async function addUser(machine: Machine, group: number): Promise<void> {
  await machine.run(["groupadd", "--non-unique", `--gid=${group}`, "docker"]);
  const home = ["--home-dir=/nonexistent", "--no-create-home", "--shell=/usr/sbin/nologin"];
  await machine.run(["useradd", "--system", "--user-group", "--groups=docker", ...home, user]);
}

/** Runs a program inside as this user. Throws `Error`, with its output, when it fails. */
export async function asUser(
  machine: Machine,
  command: readonly string[],
  options: Pick<ExecuteOptions, "accept"> = {},
): Promise<Ended> {
  const switches = [`--reuid=${user}`, `--regid=${user}`, "--init-groups", "--reset-env"];
  return await machine.run(["setpriv", ...switches, ...command], options);
}
