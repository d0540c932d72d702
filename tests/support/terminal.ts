/** How long a shell may take for an answer. */
const patienceMs = 20_000;

/** A program at a terminal of its own, by script(1): what is typed there is all that it gets. */
export class TypedTerminal implements AsyncDisposable {
  readonly #script: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #done: Promise<unknown>;
  #shown = "";
  #onText = () => {};

  constructor(command: string, folder: string) {
    this.#script = new Deno.Command("script", {
      args: ["--quiet", "--return", "--flush", "--command", command, "/dev/null"],
      cwd: folder,
      env: {
        PATH: Deno.env.get("PATH") ?? "",
        HOME: folder,
        ZDOTDIR: folder,
        LANG: "C.UTF-8",
        TERM: "dumb",
        // When it ends, nobody waits for it, and the folder goes.
        HISTFILE: "",
      },
      clearEnv: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#writer = this.#script.stdin.getWriter();
    this.#done = Promise.all([this.#listen(), this.#script.status]);
  }

  /** Types a text once `prompt` has been shown, and answers all that has been shown before. */
  async type(text: string, prompt: string): Promise<string> {
    const shown = await this.#until(prompt);
    await this.#writer.write(new TextEncoder().encode(text));
    return shown;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#script.kill("SIGKILL");
    await this.#writer.close().catch(() => {});
    await this.#done;
  }

  /** Waits until a text is shown; what is shown up to its end is forgotten. */
  async #until(text: string): Promise<string> {
    const isLate = AbortSignal.timeout(patienceMs);
    while (!this.#shown.includes(text)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onText = resolve;
      isLate.addEventListener("abort", this.#onText);
      await promise;
      if (isLate.aborted) throw new Error(`The shell never showed '${text}': ${this.#shown}`);
    }
    const end = this.#shown.indexOf(text) + text.length;
    const before = this.#shown.slice(0, end - text.length);
    this.#shown = this.#shown.slice(end);
    return before;
  }

  async #listen(): Promise<void> {
    for await (const text of this.#script.stdout.pipeThrough(new TextDecoderStream())) {
      this.#shown += text;
      this.#onText();
    }
  }
}
