import { eventually } from "../support/environment.ts";
import { engineAnswers } from "./playground.ts";

/** A service of the machine's Podman that belongs to one test, which may stop and kill it. */
export class OwnPodman implements AsyncDisposable {
  readonly socketPath: string;
  #process: Deno.ChildProcess | null = null;

  constructor(folder: string) {
    this.socketPath = `${folder}/podman.sock`;
  }

  /** Makes it run, whatever state it is in; resolves when it answers. */
  async run(): Promise<void> {
    this.#process ??= new Deno.Command("podman", {
      args: ["system", "service", "--time=0", `unix://${this.socketPath}`],
      ...{ stdin: "null", stdout: "null", stderr: "null" } as const,
    }).spawn();
    this.#process.kill("SIGCONT");
    const isThere = async () => await engineAnswers(this.socketPath) || undefined;
    await eventually("Podman's service", isThere);
  }

  /** Freezes it: it takes connections, and never answers. */
  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  /** Ends it by a signal. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    this.#process?.kill(signal);
    await this.#process?.status;
    this.#process = null;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end("SIGKILL");
  }
}

/** Whether there is a Podman that may run a service. */
export async function hasPodman(): Promise<boolean> {
  try {
    const { success } = await new Deno.Command("podman", {
      args: ["info"],
      ...{ stdin: "null", stdout: "null", stderr: "null" } as const,
    }).output();
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
