import { Buffer } from "node:buffer";
import Docker from "dockerode";
import { pausingImage } from "../engines/pausing_image.ts";
import { TemporaryFolder, until } from "./environment.ts";
import { outputOf, requirement, works } from "./requirements.ts";

/** What tests with a host of their own need. */
export const isolation = requirement(
  "dockerd, ip and nsenter, as root",
  await works("dockerd", "--version") &&
    await works("nsenter", "--net=/proc/self/ns/net", "ip", "link", "show", "lo"),
);

/** Runs a command, whose words have no spaces in them; returns its output. Throws `Error`. */
export function run(command: string): Promise<string> {
  return outputOf(command.split(" "));
}

/** Starts a program that runs until it is killed. */
export function startProgram(command: string): Deno.ChildProcess {
  const [program, ...args] = command.split(" ") as [string, ...string[]];
  const streams = { stdin: "null", stdout: "null", stderr: "null" } as const;
  return new Deno.Command(program, { args, ...streams }).spawn();
}

/** A host with a Docker engine of its own, in a network namespace that has no way out yet. */
export class IsolatedHost implements AsyncDisposable {
  readonly namespace = `decnet-h-${crypto.randomUUID().slice(0, 6)}`;
  readonly folder = new TemporaryFolder();
  readonly socket: string = `${this.folder.path}/run/docker.sock`;
  readonly docker = new Docker({ socketPath: this.socket });
  #engine: Deno.ChildProcess | null = null;

  /** Starts it; `images` are names of the image that pauses. */
  static async start(images: readonly string[]): Promise<IsolatedHost> {
    const host = new IsolatedHost();
    try {
      await run(`ip netns add ${host.namespace}`);
      await host.ip("link set lo up");
      await host.#startEngine(images);
      return host;
    } catch (error) {
      await host[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs `ip` on the host. */
  ip(command: string): Promise<string> {
    return run(`ip -n ${this.namespace} ${command}`);
  }

  /** Starts a program on the host. */
  get wrapper(): string[] {
    return ["nsenter", `--net=/run/netns/${this.namespace}`];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#engine) {
      const left: { Id: string }[] = await this.docker.listContainers({ all: true }).catch(
        () => [],
      );
      // Programs that pause ignore what the engine ends them with.
      for (const { Id } of left) await this.docker.getContainer(Id).remove({ force: true });
      this.#engine.kill("SIGTERM");
      await this.#engine.status;
    }
    await run(`ip netns del ${this.namespace}`);
    this.folder[Symbol.dispose]();
  }

  async #startEngine(images: readonly string[]): Promise<void> {
    const { path } = this.folder;
    await Deno.mkdir(`${path}/run`);
    this.#engine = startProgram(
      `${this.wrapper.join(" ")} dockerd --data-root ${path}/data --exec-root ${path}/exec ` +
        `--pidfile ${path}/dockerd.pid --host unix://${this.socket} ` +
        "--iptables=false --ip6tables=false --bridge=none",
    );
    await until(() => this.docker.ping().then(() => true, () => false), { what: "dockerd" });
    const changes = 'CMD ["/pause"]';
    const answer = await this.docker.importImage(Buffer.from(pausingImage()), { changes });
    let text = "";
    for await (const part of answer) text += part;
    const [imageId] = /sha256:[0-9a-f]{64}/.exec(text)!;
    for (const name of images) {
      const [repo, tag] = name.split(":");
      await this.docker.getImage(imageId!).tag({ repo, tag });
    }
  }
}
