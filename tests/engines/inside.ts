import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { DockerSandbox } from "./sandbox.ts";

/** The IPv4 addresses that processes in a container see as their own, sorted, without loopback. */
export async function addressesInside(sandbox: DockerSandbox, container: string) {
  const tree = await read(sandbox, container, "/proc/net/fib_trie");
  const own = [...tree.matchAll(/\|-- ([\d.]+)\n\s+\/32 host LOCAL/g)].map(([, address]) =>
    address!
  );
  return [...new Set(own)].filter((address) => !address.startsWith("127.")).sort();
}

/** Whether processes in a container have a default route, and thus a way out. */
export async function hasDefaultRoute(sandbox: DockerSandbox, container: string): Promise<boolean> {
  const routes = await read(sandbox, container, "/proc/net/route");
  return routes.split("\n").slice(1).some((line) => line.split(/\s+/)[1] === "00000000");
}

/** The identity of the network namespace that processes in a container are in. */
export async function networkInside(sandbox: DockerSandbox, container: string): Promise<string> {
  return await execute(sandbox, container, ["/readlink", "/proc/self/ns/net"]);
}

/** Whether the processes of a container may administer its network. */
export async function mayChangeNetwork(
  sandbox: DockerSandbox,
  container: string,
): Promise<boolean> {
  const status = await read(sandbox, container, "/proc/1/status");
  const capabilities = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)$/m.exec(status)![1]}`);
  const netAdmin = 12n; // capabilities(7)
  return (capabilities >> netAdmin & 1n) === 1n;
}

/** A file as processes in a container see it. */
async function read(sandbox: DockerSandbox, container: string, file: string): Promise<string> {
  return await execute(sandbox, container, ["/cat", file]);
}

/** What a program of the pausing image writes when it runs inside a container. */
async function execute(
  { docker }: DockerSandbox,
  container: string,
  command: readonly string[],
): Promise<string> {
  const exec = await docker.getContainer(container).exec({
    Cmd: [...command],
    AttachStdout: true,
    AttachStderr: true,
  });
  const parts: Uint8Array[] = [];
  for await (const part of await exec.start({})) parts.push(part as Uint8Array);
  let text = "";
  // Each piece has a header, with its length in the end.
  for (let rest = Buffer.concat(parts); rest.length > 0;) {
    const end = 8 + rest.readUInt32BE(4);
    text += rest.subarray(8, end).toString();
    rest = rest.subarray(end);
  }
  const { ExitCode } = await exec.inspect();
  assert.equal(ExitCode, 0, `${command.join(" ")} in ${container}: ${text}`);
  return text;
}

/** The program that answers and asks at ports, in the network of a container. */
async function portsProgram(sandbox: DockerSandbox, container: string, ...args: string[]) {
  const { State: { Pid } } = await sandbox.docker.getContainer(container).inspect();
  const program = new URL("../support/programs/ports.ts", import.meta.url).pathname;
  const deno = [Deno.execPath(), "run", "--quiet", "--no-check", "--allow-net", program];
  return new Deno.Command("nsenter", {
    args: [`--target=${Pid}`, "--net", ...deno, ...args],
    stdin: "null",
    stdout: "piped",
  });
}

/** Answers at ports in the network of a container, as the programs of its services would. */
export async function answerInside(
  sandbox: DockerSandbox,
  container: string,
  ...ports: string[]
): Promise<AsyncDisposable> {
  const process = (await portsProgram(sandbox, container, "answer", ...ports)).spawn();
  const reader = process.stdout.getReader();
  const { value } = await reader.read();
  assert.equal(new TextDecoder().decode(value), "ready\n");
  return {
    async [Symbol.asyncDispose]() {
      process.kill("SIGKILL");
      await reader.cancel();
      await process.status;
    },
  };
}

/** A machine outside of the topology, to which this host forwards as to the internet. */
export class Outside implements AsyncDisposable {
  readonly #sandbox: DockerSandbox;
  readonly #address: string;
  readonly #device: string;
  #rules: string[] = [];

  private constructor(sandbox: DockerSandbox) {
    this.#sandbox = sandbox;
    this.#address = sandbox.address(200, 2);
    this.#device = `out${sandbox.tag}`;
  }

  /** Whether this machine has what is needed: root, iproute2, iptables and util-linux. */
  static async isPossible(): Promise<boolean> {
    try {
      const inNetwork = ["--net=/proc/self/ns/net"];
      const found = await Promise.all([
        run("nsenter", ...inNetwork, "ip", "link"),
        run("nsenter", ...inNetwork, "iptables", "-S", "FORWARD"),
      ]);
      return found.every(({ success }) => success);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  /**
   * Makes one from a container, with which its device disappears. A Docker beside another engine drops
   * what is not for its own containers: `besideDocker` lets packets to and from this machine pass.
   */
  static async make(sandbox: DockerSandbox, { besideDocker = false } = {}): Promise<Outside> {
    const name = `outside-${sandbox.tag}`;
    await sandbox.makeContainer(name);
    const outside = new Outside(sandbox);
    const device = outside.#device;
    const { State: { Pid } } = await sandbox.docker.getContainer(name).inspect();
    await runAll(
      `ip link add ${device} type veth peer name eth0 netns ${Pid}`,
      `ip address add ${outside.hostAddress}/24 dev ${device}`,
      `ip link set ${device} up`,
      `nsenter --target=${Pid} --net ip address add ${outside.#address}/24 dev eth0`,
      `nsenter --target=${Pid} --net ip link set eth0 up`,
    );
    if (besideDocker) outside.#rules = ["-i", "-o"].map((it) => `${it} ${device} -j ACCEPT`);
    await runAll(...outside.#rules.map((rule) => `iptables -I FORWARD ${rule}`));
    return outside;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await runAll(...this.#rules.map((rule) => `iptables -D FORWARD ${rule}`));
  }

  /** The address of this host on the way to it. */
  get hostAddress(): string {
    return this.#sandbox.address(200, 1);
  }

  /** Asks this host at a port such as `53/udp`; returns the answer, empty when there is none. */
  async ask(port: string): Promise<string> {
    const name = `outside-${this.#sandbox.tag}`;
    const command = await portsProgram(this.#sandbox, name, "ask", this.hostAddress, port);
    const { stdout } = await command.output();
    return new TextDecoder().decode(stdout).trim();
  }

  /** Asks until there is an answer: a busy machine may drop a question or be slow. */
  async assertAnswers(port: string): Promise<void> {
    let answer = "";
    for (let tries = 0; tries < 5 && answer === ""; tries++) answer = await this.ask(port);
    assert.equal(answer, port);
  }

  /** Whether it answers to a container of the sandbox. */
  async answers(container: string): Promise<boolean> {
    const { State: { Pid } } = await this.#sandbox.docker.getContainer(container).inspect();
    // No program listens there, so an answer is `connection refused`. Without a way out there is
    // silence, or no route, which depends on the engine.
    const connect = `exec 3<>/dev/tcp/${this.#address}/9`;
    const bash = ["timeout", "2", "bash", "-c", connect];
    const { code, stderr } = await run("nsenter", `--target=${Pid}`, "--net", ...bash);
    const isRefused = stderr.includes("Connection refused");
    const isCutOff = code === 124 || stderr.includes("Network is unreachable");
    assert.ok(isRefused || isCutOff, `${code}: ${stderr}`);
    return isRefused;
  }
}

/** Runs commands one after another. Throws `AssertionError` for the first that fails. */
async function runAll(...commands: string[]): Promise<void> {
  for (const command of commands) {
    const [program, ...args] = command.split(" ");
    const { success, stderr } = await run(program!, ...args);
    assert.ok(success, `${command}: ${stderr}`);
  }
}

async function run(program: string, ...args: string[]) {
  const command = new Deno.Command(program, { args, env: { LC_ALL: "C" }, stdin: "null" });
  const { success, code, stderr } = await command.output();
  return { success, code, stderr: new TextDecoder().decode(stderr) };
}
