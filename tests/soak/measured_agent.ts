import { memoryMiBOf } from "../support/processes.ts";
import type { HostOptions } from "./simulated_host.ts";

/** The agent under measurement, in a process of its own. */
export class MeasuredAgent implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #listener: Deno.UnixListener;
  readonly #control: Promise<Deno.Conn>;
  readonly #logged: Promise<void>;
  /** How many lines it has logged. */
  logLines = 0;
  /** Those of them that are about the master. */
  masterLines = 0;
  #lastLine = "";

  /** `program` is tests/soak/soak_agent.ts, compiled. */
  constructor(program: string, options: HostOptions) {
    const path = `${options.agentDirectory}/control.sock`;
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#control = this.#listener.accept();
    this.#child = new Deno.Command(program, {
      args: [path, JSON.stringify(options)],
      clearEnv: true,
      env: { HOME: "/nonexistent" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#lines = linesOf(this.#child.stdout);
    this.#logged = this.#readLog();
  }

  /** The next line that it prints. Throws `Error`, with the end of its log, when it has ended. */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (!done) return value;
    await this.#logged;
    throw new Error(`The agent has ended: ${this.#lastLine}`);
  }

  /** Lets it continue, or stop, or collect garbage and wait. */
  async answer(word: "go" | "stop" | "collect"): Promise<void> {
    await (await this.#control).write(new TextEncoder().encode(word[0]));
  }

  /** Its resident memory, in MiB. */
  residentMiB(): number {
    return memoryMiBOf(this.#child.pid, "VmRSS");
  }

  /** How many file descriptors it has open. */
  descriptors(): number {
    return [...Deno.readDirSync(`/proc/${this.#child.pid}/fd`)].length;
  }

  /** Waits for its end; returns its exit code. */
  async end(): Promise<number> {
    await this.#logged;
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#control.then((it) => it.close(), () => {});
    await this.#lines.return?.();
    await this.end();
  }

  async #readLog(): Promise<void> {
    for await (const line of linesOf(this.#child.stderr)) {
      this.logLines++;
      if (/ subject=master |master accepts \w+ again/.test(line)) this.masterLines++;
      this.#lastLine = line;
    }
  }
}

/** Yields the lines of a stream. */
export async function* linesOf(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
