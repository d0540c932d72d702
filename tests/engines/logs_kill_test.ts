import assert from "node:assert/strict";
import { until } from "../support/environment.ts";
import { Host, RunningAgent } from "../support/executable.ts";
import { LogListener } from "../support/log_listener.ts";
import { docker } from "./engines.ts";
import { type DockerSandbox, testInSandbox } from "./sandbox.ts";

const services = 20;
/** How many lines each prints in a second. */
const linesPerSecond = 100;
const stepMs = 100;
/** How long they print, and how often what goes wrong happens meanwhile. */
const seconds = 20;
const kills = 5;
const absences = 2;
const absenceMs = 4_000;

/** A service that prints numbered lines. */
class Printer {
  count = 0;
  #input: { write(text: string): void; destroy(): void } | null = null;

  constructor(readonly sandbox: DockerSandbox, readonly name: string, readonly mark: string) {}

  async start(logSize?: string): Promise<void> {
    const { tag } = this.sandbox;
    await this.sandbox.makeContainer(this.name, {
      command: ["/cat", "/dev/stdin"],
      hasInput: true,
      labels: { "decnet.topology.id": `${tag}-0000`, "decnet.topology.service": "true" },
      ...(logSize === undefined ? {} : { logSize }),
    });
    await this.#attach();
  }

  async #attach(): Promise<void> {
    const options = { stream: true, stdin: true, hijack: true };
    this.#input = await this.sandbox.docker.getContainer(this.name).attach(options);
  }

  print(lines: number): void {
    if (!this.#input) return;
    const text = Array.from(
      { length: lines },
      () => `${this.mark} ${++this.count} ${"x".repeat(40)}\n`,
    );
    this.#input.write(text.join(""));
  }

  /** Restarts the container; what it was told to print before is in its log. */
  async restart(): Promise<void> {
    const input = this.#input;
    this.#input = null;
    const container = this.sandbox.docker.getContainer(this.name);
    const last = `${this.mark} ${this.count} `;
    await until(async () => {
      const log = await container.logs({ stdout: true, tail: 5 });
      return log.includes(last);
    });
    input?.destroy();
    await container.restart({ t: 0 });
    await this.#attach();
  }

  stop(): void {
    this.#input?.destroy();
  }
}

/** Returns the numbers of the lines with a mark, in the order in which each came first. */
function numbersOf(lines: readonly string[], mark: string): number[] {
  const start = `${mark} `;
  const numbers = lines.filter((line) => line.startsWith(start)).map((line) =>
    Number(line.split(" ")[1])
  );
  return [...new Set(numbers)];
}

testInSandbox(docker, "L10 decnet-agent loses no line that Docker keeps", async (sandbox) => {
  await using host = await Host.create();
  const { master, authority } = await host.startMaster();
  await using listener = await LogListener.start({ authority });
  const { port } = listener;
  const flags = host.flags(master).filter((flag) => !flag.startsWith("--docker-host"))
    .concat("--interval=5s", `--syslog-port=${port}`, `--docker-host=unix://${docker.socket}`);
  const printers = Array.from({ length: services }, (_, index) => {
    return new Printer(sandbox, `decnet_t_${sandbox.tag}_s${index}`, `s${index}`);
  });
  for (const [index, printer] of printers.entries()) {
    await printer.start(index === 0 ? "100k" : undefined);
  }
  const timer = setInterval(() => {
    for (const printer of printers) printer.print(linesPerSecond * stepMs / 1_000);
  }, stepMs);
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  const stayAway = async () => {
    for (let absence = 0; absence < absences; absence++) {
      await pause(3_000);
      await listener.stop();
      await pause(absenceMs);
      await listener.listen();
    }
  };
  const restart = async () => {
    for (const printer of printers.slice(1, 3)) {
      await pause(seconds * 300);
      await printer.restart();
    }
  };
  const away = stayAway();
  const restarted = restart();
  for (let kill = 0; kill < kills; kill++) {
    await using agent = new RunningAgent(flags);
    await pause(seconds * 1_000 / kills);
    await agent.stop("SIGKILL");
  }
  clearInterval(timer);
  await Promise.all([away, restarted]);
  await using _agent = new RunningAgent(flags);
  const isComplete = ({ mark, count }: Printer) => numbersOf(listener.lines, mark).length === count;
  await until(() => printers.every(isComplete), { timeoutMs: 60_000 }).catch(() => {});
  for (const { mark, count } of printers) {
    const expected = Array.from({ length: count }, (_, index) => index + 1);
    assert.deepEqual(numbersOf(listener.lines, mark), expected, mark);
  }
  for (const printer of printers) printer.stop();
});
