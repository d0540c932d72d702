/**
 * Measures what it costs to send the log of a container: `deno task bench:logs [LINES [ROUNDS]]`. The
 * compiled agent, this machine's own engine and a listener on the loopback, beside
 * `docker logs -f | openssl s_client` for the same lines; processor time is that of these processes.
 */

import type Docker from "dockerode";
import { createServer, type TLSSocket } from "node:tls";
import type { AddressInfo } from "node:net";
import { DockerSandbox } from "../tests/engines/sandbox.ts";
import { createAuthority, writeAgentDirectory } from "../tests/support/certificates.ts";
import { until } from "../tests/support/environment.ts";
import { cpuMsOf, memoryMiBOf } from "../tests/support/processes.ts";
import { figure, median, printFigures, printTable, run, withAgent } from "./harness.ts";
import { startAgent, startMaster } from "./agent.ts";

const lines = Number(Deno.args[0] ?? 200_000);
const rounds = Number(Deno.args[1] ?? 3);
const socket = "/var/run/docker.sock";
const timeoutMs = 600_000;

/** Takes what clients send, and counts the bytes. */
class ByteListener implements AsyncDisposable {
  bytes = 0;
  firstAt = 0;
  lastAt = 0;
  readonly #server;
  readonly #sockets = new Set<TLSSocket>();

  private constructor(options: { ca: string; cert: string; key: string }) {
    this.#server = createServer({ ...options, requestCert: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy()).on("data", ({ length }) => {
        this.lastAt = performance.now();
        if (this.bytes === 0) this.firstAt = this.lastAt;
        this.bytes += length;
      });
    });
  }

  /** Starts one whose certificates, and those of a client, are in `folder`. */
  static async start(folder: string): Promise<ByteListener> {
    const authority = await createAuthority("bench");
    const names = { commonName: "decnet-master", dnsNames: ["decnet-master"] };
    const { certificatePem: cert, keyPem: key } = await authority.issue(names);
    const worker = await authority.issue({ commonName: "bench", usage: "client" });
    await Deno.mkdir(folder);
    await writeAgentDirectory(folder, authority, worker);
    const listener = new ByteListener({ ca: authority.certificatePem, cert, key });
    await new Promise<void>((resolve) => listener.#server.listen(0, "127.0.0.1", resolve));
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** What a run has taken until all bytes had come. */
interface Run {
  readonly cpuMs: number;
  readonly seconds: number;
  readonly residentMiB: number;
}

const texts = Array.from({ length: lines }, (_, index) => {
  const fraction = String(index % 1_000_000).padStart(6, "0");
  return `<134>1 2026-01-02T03:04:05.${fraction}+00:00 web01 http - request [relay@55555 ` +
    `src_ip="203.0.113.${index % 250}" method="GET" path="/${index}" agent="Mozilla/5.0 (X11)"]`;
});
const frameBytes = texts.reduce((sum, { length }) => sum + length + `${length} `.length, 0);
const lineBytes = texts.reduce((sum, { length }) => sum + length + 1, 0);

/** Has a container print all lines. */
async function fill(container: Docker.Container): Promise<void> {
  const stream = await container.attach({ stream: true, stdin: true, hijack: true });
  for (let at = 0; at < lines; at += 1_000) {
    const text = texts.slice(at, at + 1_000).map((line) => `${line}\n`).join("");
    await new Promise<void>((resolve) => stream.write(text, () => resolve()));
  }
  const isLast = async () => {
    const last = await container.logs({ stdout: true, tail: 1 });
    return last.toString().includes(` path="/${lines - 1}" `);
  };
  await until(isLast, { timeoutMs, what: "the last line" });
  (stream as unknown as { destroy(): void }).destroy();
}

await withAgent(async (folder) => {
  await using sandbox = await DockerSandbox.open(socket);
  const { tag } = sandbox;
  const labels = { "decnet.topology.id": `${tag}-0`, "decnet.topology.service": "true" };
  // Not the agent's own until it is renamed.
  const [hidden, own] = [`bench-${tag}-web`, `decnet_t_${tag}_web-http`];
  const image = await sandbox.importImage(`decnet-agent-test-${tag}-logs:1`);
  const container = await sandbox.docker.createContainer({
    name: hidden,
    Image: image,
    // Repeats what comes on its standard input.
    Cmd: ["/cat", "/dev/stdin"],
    OpenStdin: true,
    Labels: labels,
    HostConfig: { NetworkMode: "none" },
  });
  await container.start();
  await fill(container);

  const runAgent = async (round: number): Promise<Run> => {
    const state = `${folder}/${round}`;
    await using master = await startMaster([`${state}-master`]);
    await using listener = await ByteListener.start(state);
    const options = { port: master.port, socket };
    const agent = startAgent(`${folder}/agent`, state, options, `--syslog-port=${listener.port}`);
    try {
      await new Promise((resolve) => setTimeout(resolve, 4_000));
      const before = cpuMsOf(agent.pid);
      await container.rename({ name: own });
      await until(() => listener.bytes >= frameBytes, { timeoutMs, what: "all lines" });
      const cpuMs = cpuMsOf(agent.pid) - before;
      const residentMiB = memoryMiBOf(agent.pid, "VmRSS");
      return { cpuMs, seconds: (listener.lastAt - listener.firstAt) / 1000, residentMiB };
    } finally {
      await container.rename({ name: hidden });
      agent.kill("SIGTERM");
      await agent.status;
    }
  };

  const runPipe = async (round: number): Promise<Run> => {
    const state = `${folder}/pipe-${round}`;
    await using listener = await ByteListener.start(state);
    const pipe = `${state}/pipe`;
    await run(["mkfifo", pipe]);
    const options = `-connect 127.0.0.1:${listener.port} -servername decnet-master ` +
      `-CAfile ${state}/ca.crt -cert ${state}/worker.crt -key ${state}/worker.key`;
    const start = (command: string) =>
      new Deno.Command("sh", {
        args: ["-c", `exec ${command}`],
        ...{ stdin: "null", stdout: "null", stderr: "null" } as const,
      }).spawn();
    const openssl = start(`openssl s_client -quiet ${options} < ${pipe}`);
    const docker = start(`docker -H unix://${socket} logs -f ${hidden} > ${pipe}`);
    await until(() => listener.bytes >= lineBytes, { timeoutMs, what: "all lines" });
    const cpuMs = cpuMsOf(docker.pid) + cpuMsOf(openssl.pid);
    for (const process of [docker, openssl]) {
      process.kill("SIGKILL");
      await process.status;
    }
    return { cpuMs, seconds: (listener.lastAt - listener.firstAt) / 1000, residentMiB: 0 };
  };

  const runs: { agent: Run; pipe: Run }[] = [];
  for (let round = 0; round < rounds; round++) {
    runs.push({ pipe: await runPipe(round), agent: await runAgent(round) });
  }
  const of = (which: "agent" | "pipe", key: keyof Run) => median(runs.map((it) => it[which][key]));
  printTable(
    ["", "processor ms", "µs a line", "lines a second"],
    (["agent", "pipe"] as const).map((which) => [
      which === "agent" ? "decnet-agent" : "docker logs -f | openssl s_client",
      of(which, "cpuMs").toFixed(0),
      (of(which, "cpuMs") * 1000 / lines).toFixed(1),
      (lines / of(which, "seconds")).toFixed(0),
    ]),
  );
  const perSecond = lines / (of("agent", "cpuMs") / 1000);
  const canTell = lines >= 50_000;
  printFigures([
    figure("log lines in a second of processor time", perSecond, "≥ 5000", 0, canTell),
    figure(
      "the same, processor time to that of docker logs and openssl",
      of("agent", "cpuMs") / of("pipe", "cpuMs"),
      "≤ 1.5 ×",
      2,
      canTell,
    ),
    figure(
      "an agent that sends log lines, memory",
      of("agent", "residentMiB"),
      "≤ 90 MiB",
      0,
      canTell,
    ),
  ]);
});
