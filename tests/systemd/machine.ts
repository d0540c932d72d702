import { createHash } from "node:crypto";
import { isAbsolute, join } from "node:path";
import { until } from "../support/environment.ts";

/** The output of a program, and its exit code. */
interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Which exit codes are no failure; 0 if not given. */
interface AcceptOptions {
  readonly accept?: (code: number) => boolean;
}

/** Runs a program to its end. Throws `Error`, with its output, when it fails or does not exist. */
async function execute(
  program: string,
  args: readonly string[],
  { signal, accept = (code) => code === 0 }: AcceptOptions & { signal: AbortSignal },
): Promise<Ended> {
  signal.throwIfAborted();
  const output = await new Deno.Command(program, {
    args: [...args],
    env: { PATH: Deno.env.get("PATH") ?? "", LANG: "C.UTF-8", SYSTEMD_COLORS: "0" },
    clearEnv: true,
    stdin: "null",
    signal,
  }).output();
  signal.throwIfAborted();
  const { code } = output;
  const [stdout, stderr] = [output.stdout, output.stderr].map((it) => new TextDecoder().decode(it));
  if (accept(code)) return { code, stdout: stdout!, stderr: stderr! };
  const end = `${stdout}${stderr}`.trim().slice(-2_000);
  throw new Error(`${program} ${args.join(" ")} ended with code ${code}\n${end}`.trim());
}

/** The releases that are booted, with what they need. */
const releases = {
  /** Its systemd is 252, the oldest that the unit is made for. */
  bookworm: ["cron", "dbus", "procps", "systemd", "systemd-sysv"],
  /** The newest stable one, with Podman and the command line of Docker. */
  trixie: [
    "busybox",
    "dbus",
    "docker-cli",
    "openssh-client",
    "podman",
    "procps",
    "systemd",
    "systemd-sysv",
  ],
};

/** A release that is booted. */
export type Release = keyof typeof releases;

/**
 * Returns the root folder of a small Debian with systemd. It is made once, with debootstrap, and kept
 * in the user's cache: nothing is ever written to it again, and one with other packages is another
 * folder.
 */
export async function findRootFolder(
  release: Release,
  { XDG_CACHE_HOME = "", HOME = "" }: Readonly<Record<string, string>>,
  { signal, log }: { signal: AbortSignal; log: (line: string) => void },
): Promise<string> {
  const cache = join(
    isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(HOME, ".cache"),
    "decnet-agent",
  );
  const packages = releases[release];
  const digest = createHash("sha256").update(packages.join(" ")).digest("hex").slice(0, 8);
  const root = join(cache, `systemd-${release}-${digest}`);
  if (isFolder(root)) return root;
  log(`Makes ${root} with debootstrap, which takes a minute`);
  await Deno.mkdir(cache, { recursive: true });
  const unfinished = await Deno.makeTempDir({ dir: cache, prefix: "debootstrap-" });
  try {
    // In its own namespaces: when it is interrupted, its processes and mounts are gone, too.
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

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/**
 * Returns the control groups that a boot will leave behind: systemd-nspawn makes them, with
 * `--keep-unit`, in the group that it is started in, in each hierarchy that systemd uses.
 */
async function groupsOfBoot(): Promise<string[]> {
  const mounts = await Deno.readTextFile("/proc/self/mountinfo");
  const memberships = await Deno.readTextFile("/proc/self/cgroup");
  const groups = mounts.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const isFirstVersion = after.startsWith("cgroup ") && after.includes("name=systemd");
    if (!isFirstVersion && !after.startsWith("cgroup2 ")) return [];
    // Such as 9:name=systemd:/path; that of the second version is 0::/path.
    const pattern = isFirstVersion ? /^\d+:name=systemd:(.*)$/m : /^0::(.*)$/m;
    const own = join(before.split(" ")[4]!, pattern.exec(memberships)?.[1] ?? "/");
    return ["payload", "supervisor"].map((name) => join(own, name));
  });
  return groups.filter((group) => !isFolder(group));
}

/** How long it may take to shut down, in milliseconds; then it is killed. */
const shutdownMs = 15_000;

/**
 * Boots the folder $1, and again when it ends with the code of systemd-nspawn for a reboot. What is
 * written goes to memory, and is gone with the mount namespace of this script.
 */
const bootScript = `set -e
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
shift
code=133
while [ $code = 133 ]; do
  code=0
  systemd-nspawn --directory=/mnt/root "$@" || code=$?
done`;

/** What a machine is booted from. */
interface MachineOptions {
  /** Nothing is written to it: what the machine writes is gone when it ends. */
  readonly root: string;
  /** Options of systemd-nspawn that show it paths of this host. */
  readonly binds: readonly string[];
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
  static async boot({ root, binds, signal }: MachineOptions): Promise<Machine> {
    const groups = await groupsOfBoot();
    signal.throwIfAborted();
    const container = new Deno.Command("unshare", {
      args: [
        ...["--mount", "sh", "-c", bootScript, "sh", root, "--boot"],
        // There may be no systemd out here to register with.
        ...["--register=no", "--keep-unit", "--link-journal=no", ...binds],
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
      throw new Error(`Cannot boot systemd: ${(error as Error).message}\n${machine.#console}`);
    }
  }

  /** Reboots, and returns when it is up again. */
  async reboot(): Promise<void> {
    await this.run(["systemctl", "reboot"], { accept: () => true });
    const before = this.#init;
    await until(async () => await this.#findInit() !== before, { what: "its end" });
    await this.#comeUp();
  }

  /** Runs a program inside, as root. Throws `Error`, with its output, when it fails. */
  async run(command: readonly string[], options: AcceptOptions = {}): Promise<Ended> {
    const spaces = ["--mount", "--uts", "--ipc", "--net", "--pid"];
    const args = [`--target=${this.#init}`, ...spaces, "--", ...command];
    return await execute("nsenter", args, { ...options, signal: this.#signal });
  }

  /** Runs a command line inside, as root types it. Throws as {@linkcode run}. */
  async shell(command: string, options: AcceptOptions = {}): Promise<Ended> {
    return await this.run(["sh", "-c", command], options);
  }

  /** The path by which this host reaches a path inside. */
  path(inside: string): string {
    return `/proc/${this.#init}/root${inside}`;
  }

  /** Shuts down. */
  async [Symbol.asyncDispose](): Promise<void> {
    const supervisor = await this.#supervisor() ?? this.#container.pid;
    if (!this.#hasEnded) Deno.kill(supervisor, "SIGTERM");
    const timer = setTimeout(() => {
      // With its first process everything in it ends.
      if (this.#init) Deno.kill(this.#init, "SIGKILL");
      if (!this.#hasEnded) Deno.kill(supervisor, "SIGKILL");
    }, shutdownMs);
    await this.#ended;
    clearTimeout(timer);
    const groups = this.#groups.filter(isFolder);
    if (groups.length === 0) return;
    const signal = AbortSignal.timeout(shutdownMs);
    await execute("find", [...groups, "-depth", "-type", "d", "-delete"], { signal });
  }

  async #comeUp(): Promise<void> {
    this.#init = await until(() => this.#findInit(), { what: "its first process" });
    await until(async () => {
      this.#mustRun();
      const { stdout } = await this.run(["systemctl", "is-system-running"], { accept: () => true });
      // Degraded is a machine where some service of its own does not work in a container.
      return ["running", "degraded"].includes(stdout.trim());
    }, { what: "its services" });
  }

  async #findInit(): Promise<number | undefined> {
    this.#mustRun();
    const supervisor = await this.#supervisor();
    return supervisor && await childOf(supervisor, "systemd");
  }

  #supervisor(): Promise<number | undefined> {
    return childOf(this.#container.pid, "systemd-nspawn");
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

/** Returns the child of a process that runs a program; undefined when there is none. */
async function childOf(parent: number, program: string): Promise<number | undefined> {
  const children = await Deno.readTextFile(`/proc/${parent}/task/${parent}/children`)
    .catch(() => "");
  for (const child of children.trim().split(" ").filter(Boolean).map(Number)) {
    const name = await Deno.readTextFile(`/proc/${child}/comm`).catch(() => "");
    if (name === `${program}\n`) return child;
  }
  return undefined;
}

/** The user that the unit names. */
export const user = "decnet-agent";

/** Runs a program inside as this user. Throws `Error`, with its output, when it fails. */
export async function asUser(
  machine: Machine,
  command: readonly string[],
  options: AcceptOptions = {},
): Promise<Ended> {
  const switches = [`--reuid=${user}`, `--regid=${user}`, "--init-groups", "--reset-env"];
  return await machine.run(["setpriv", ...switches, ...command], options);
}
