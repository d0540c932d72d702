import assert from "node:assert/strict";
import type { Playground } from "./playground.ts";

/** The outside world: a machine that this host forwards to, as it would to the internet. */
export class Outside {
  readonly #playground: Playground;
  readonly #address: string;

  private constructor(playground: Playground, address: string) {
    this.#playground = playground;
    this.#address = address;
  }

  /** Whether this machine lets one be made: by root, with iproute2 and util-linux. */
  static async isPossible(): Promise<boolean> {
    try {
      const { success } = await run("nsenter", "--net=/proc/self/ns/net", "ip", "link");
      return success;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  /** Makes it of a container; it goes with that. */
  static async make(playground: Playground): Promise<Outside> {
    const name = `outside-${playground.tag}`;
    await playground.makeContainer(name);
    const outside = new Outside(playground, playground.address(200, 2));
    const { State: { Pid } } = await playground.docker.getContainer(name).inspect();
    const device = `out${playground.tag}`;
    for (
      const command of [
        `ip link add ${device} type veth peer name eth0 netns ${Pid}`,
        `ip address add ${playground.address(200, 1)}/24 dev ${device}`,
        `ip link set ${device} up`,
        `nsenter --target=${Pid} --net ip address add ${outside.#address}/24 dev eth0`,
        `nsenter --target=${Pid} --net ip link set eth0 up`,
      ]
    ) {
      const [program, ...args] = command.split(" ");
      const { success, stderr } = await run(program!, ...args);
      assert.ok(success, `${command}: ${stderr}`);
    }
    return outside;
  }

  /** Whether it answers to a container of the playground. */
  async answers(container: string): Promise<boolean> {
    const { State: { Pid } } = await this.#playground.docker.getContainer(container).inspect();
    // Nobody listens there: the answer is that the connection is refused.
    const connect = `exec 3<>/dev/tcp/${this.#address}/9`;
    const bash = ["timeout", "2", "bash", "-c", connect];
    const { code, stderr } = await run("nsenter", `--target=${Pid}`, "--net", ...bash);
    const isRefused = stderr.includes("Connection refused");
    assert.ok(isRefused || code === 124, `${code}: ${stderr}`);
    return isRefused;
  }
}

async function run(program: string, ...args: string[]) {
  const command = new Deno.Command(program, { args, env: { LC_ALL: "C" }, stdin: "null" });
  const { success, code, stderr } = await command.output();
  return { success, code, stderr: new TextDecoder().decode(stderr) };
}
