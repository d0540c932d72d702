import assert from "node:assert/strict";
import { observe } from "../../docker/observe.ts";
import { LogForwarder } from "../../logs/forwarder.ts";
import { TemporaryFolder, until } from "../support/environment.ts";
import { TestSink } from "../support/test_sink.ts";
import { docker, podman, type TestEngine } from "./engines.ts";
import { type ContainerOptions, type DockerSandbox, testInSandbox } from "./sandbox.ts";

/** Forwards the lines of the services in a sandbox to a sink. */
class ForwardedSandbox implements AsyncDisposable {
  readonly #folder = new TemporaryFolder();
  readonly sink = new TestSink();
  readonly logged: string[] = [];
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #image: string | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly sandbox: DockerSandbox) {}

  /** Makes a service of a topology; returns its name. */
  async makeService(name: string, options: ContainerOptions): Promise<string> {
    const { tag } = this.sandbox;
    const full = `decnet_t_${tag}_${name}`;
    const labels = { "decnet.topology.id": `${tag}-0000`, "decnet.topology.service": "true" };
    await this.sandbox.makeContainer(full, { ...options, labels });
    return full;
  }

  /** Makes a service that prints the samples at each start; returns its name. */
  async makePrinter(name: string): Promise<string> {
    const { tag } = this.sandbox;
    this.#image ??= await this.sandbox.importImage(`decnet-agent-test-${tag}:lines`, { lines });
    return await this.makeService(name, { command: ["/print", "/lines"], image: this.#image });
  }

  start(): void {
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    const { sandbox: { socketPath, tag }, sink, logged } = this;
    const forwarder = new LogForwarder({
      path: `${this.#folder.path}/logs.db`,
      sink,
      log: (level, message) => level === "debug" || logged.push(`${level}: ${message}`),
    });
    this.#running = forwarder.run(signal, [socketPath]);
    // Takes the place of the agent's loop.
    const note = async () => {
      const prefixes = { networkPrefixes: ["none"], containerPrefixes: [`decnet_t_${tag}`] };
      const options = { socket: socketPath, ...prefixes, callTimeoutMs: 30_000, timeoutMs: 60_000 };
      const { inventory } = await observe(signal, options);
      // Other tests have services, too.
      forwarder.note(inventory.containers.filter(({ name }) => name.includes(tag)));
      if (!signal.aborted) this.#timer = setTimeout(() => note().catch(() => {}), 200);
    };
    note().catch(() => {});
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#running;
  }

  /** Waits until the sink has exactly these lines. */
  async untilLines(lines: readonly string[]): Promise<void> {
    await until(() => this.sink.lines.length >= lines.length, { what: `${lines.length} lines` })
      .catch(() => {});
    assert.deepEqual(this.sink.lines, lines);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.#folder[Symbol.dispose]();
  }
}

/** What is printed in one line or another. */
const samples = [
  "plain",
  "",
  " spaces \t \r",
  "Käse 😀",
  "x".repeat(16_383),
  "x".repeat(16_384),
  "x".repeat(16_385),
  "é".repeat(15_000),
];
const lines = samples.map((line) => `${line}\n`).join("");

for (const engine of [docker, podman] satisfies TestEngine[]) {
  testInSandbox(engine, `LogForwarder reads each line in ${engine.name}`, async (sandbox) => {
    await using forwarded = new ForwardedSandbox(sandbox);
    // Before the log is followed, meanwhile, and while no agent runs.
    const web = await forwarded.makePrinter("web-http");
    const restart = () => sandbox.docker.getContainer(web).restart({ t: 0 });
    forwarded.start();
    await forwarded.untilLines(samples);
    await restart();
    await forwarded.untilLines([...samples, ...samples]);
    await forwarded.stop();
    await restart();
    forwarded.start();
    await forwarded.untilLines([...samples, ...samples, ...samples]);
    assert.deepEqual(forwarded.logged, []);
  });

  testInSandbox(engine, `LogForwarder reads ${engine.name}'s ended containers`, async (sandbox) => {
    await using forwarded = new ForwardedSandbox(sandbox);
    await forwarded.makeService("web-http", { command: ["/readlink", "/proc/self/exe"] });
    await until(async () => (await sandbox.containers())[0]?.State === "exited");
    forwarded.start();
    // It has written no line feed.
    await forwarded.untilLines(["/readlink"]);
  });
}

testInSandbox(docker, "L11 LogForwarder withstands floods", async (sandbox) => {
  await using forwarded = new ForwardedSandbox(sandbox);
  const { sink } = forwarded;
  // Lines without an end, and of binary, as fast as they can. Podman's own reader of logs does not keep
  // up with them on a busy machine.
  for (const file of ["zero", "urandom"]) {
    await forwarded.makeService(file, { command: ["/cat", `/dev/${file}`], logSize: "10m" });
  }
  const { rss } = Deno.memoryUsage();
  forwarded.start();
  await until(() => sink.bytes > 2 ** 20);
  for (let round = 0; round < 3; round++) {
    sink.lines.length = 0;
    await forwarded.makePrinter(`calm-${round}`);
    // To make a container takes long meanwhile, which is not the agent's fault.
    const startedAt = performance.now();
    await until(() => {
      const isThere = sink.lines.includes(samples.at(-1)!);
      if (!isThere) sink.lines.splice(0, sink.lines.length - 1_000);
      return isThere;
    });
    const ms = performance.now() - startedAt;
    assert.ok(ms < 10_000, `${ms} ms`);
  }
  const grown = Deno.memoryUsage().rss - rss;
  assert.ok(grown < 300 * 2 ** 20, `${grown} bytes more`);
});
