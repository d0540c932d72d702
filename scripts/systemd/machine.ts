import { eventually } from "../../tests/real/waiting.ts";
import { groupsToCome, removeGroups } from "./cgroups.ts";
import { type Ended, execute, type ExecuteOptions } from "./execute.ts";

/** How long it may take to shut down, in milliseconds; then it is killed. */
const shutdownMs = 15_000;

/** What a machine is booted from. */
export interface MachineOptions {
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

  /** Runs a program inside, as root. Throws `Error`, with what it said, when it fails. */
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
