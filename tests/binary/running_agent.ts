import { witness } from "../secrets.ts";
import { spawn } from "./host.ts";

/** How long the agent may take for what a test waits for, and to end when it is told to. */
const patienceMs = 20_000;

/** How a loop ended that was told to. */
export interface Stopped {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** From the signal to the end. */
  readonly ms: number;
}

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

  /** Ends it by a signal. Throws `Error`, with its stderr, when it has ended already. */
  async stop(signal: "SIGTERM" | "SIGINT" | "SIGKILL" = "SIGTERM"): Promise<Stopped> {
    this.#mustRun();
    const startedAt = performance.now();
    this.#process.kill(signal);
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), patienceMs);
    await this.#done;
    witness(this.#stdout + this.#stderr);
    clearTimeout(timer);
    const ms = performance.now() - startedAt;
    return { code: this.#code!, stdout: this.#stdout, stderr: this.#stderr, ms };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#code === null) this.#process.kill("SIGKILL");
    await this.#done;
    witness(this.#stdout + this.#stderr);
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
