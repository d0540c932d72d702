import Docker from "dockerode";
import { until } from "../support/environment.ts";
import { type Requirement, requirement, works } from "../support/requirements.ts";

/** An engine that tests may use. */
export interface TestEngine {
  readonly name: "Docker" | "Podman";
  readonly socket: string;
  readonly requirement: Requirement;
}

/** The Docker engine that tests may use: `$DOCKER_TEST_SOCKET`, else the usual socket. */
export const dockerSocket = Deno.env.get("DOCKER_TEST_SOCKET") ?? "/var/run/docker.sock";
const podmanSocket = Deno.env.get("PODMAN_TEST_SOCKET") ?? "";

/** The Docker engine at `dockerSocket`. */
export const docker: TestEngine = {
  name: "Docker",
  socket: dockerSocket,
  requirement: requirement(`a Docker engine at ${dockerSocket}`, await engineAnswers(dockerSocket)),
};
/** Podman's service at `$PODMAN_TEST_SOCKET`. */
export const podman: TestEngine = {
  name: "Podman",
  socket: podmanSocket,
  requirement: requirement(
    `Podman's service at ${podmanSocket || "$PODMAN_TEST_SOCKET"}`,
    podmanSocket !== "" && await engineAnswers(podmanSocket),
  ),
};
/** A Podman that a test may start, stop and kill. */
export const ownPodman: Requirement = requirement("podman", await works("podman", "info"));

/** Whether an engine answers at a socket; asked without the code under test. */
async function engineAnswers(path: string): Promise<boolean> {
  try {
    await new Docker({ socketPath: path, timeout: 5000 }).ping();
    return true;
  } catch {
    return false;
  }
}

/** A service of the machine's Podman that belongs to one test, which may stop and kill it. */
export class OwnPodman implements AsyncDisposable {
  readonly socketPath: string;
  #process: Deno.ChildProcess | null = null;

  constructor(folder: string) {
    this.socketPath = `${folder}/podman.sock`;
  }

  /** Starts or continues it, whatever state it is in; resolves when it answers. */
  async run(): Promise<void> {
    this.#process ??= new Deno.Command("podman", {
      args: ["system", "service", "--time=0", `unix://${this.socketPath}`],
      ...{ stdin: "null", stdout: "null", stderr: "null" } as const,
    }).spawn();
    this.#process.kill("SIGCONT");
    await until(() => engineAnswers(this.socketPath));
  }

  /** Freezes it: it accepts connections, and never answers. */
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
