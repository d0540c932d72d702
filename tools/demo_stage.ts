/** What the demo's stories are told with: a printer, a host, the agent's loop and a master. */

import { describeDrift } from "../agent/snapshot.ts";
import type { HeartbeatBody } from "../agent/heartbeat.ts";
import type { Identity } from "../master/certificates.ts";
import { parseArguments } from "../cli/args.ts";
import { configure } from "../cli/config.ts";
import { Daemon } from "../cli/daemon.ts";
import { processTerminal, type Terminal } from "../cli/terminal.ts";
import { sanitizeLine } from "../host/log.ts";
import { pausingImage } from "../tests/engines/pausing_image.ts";
import { call, master } from "../tests/support/api_setup.ts";
import { writeAgentDirectory } from "../tests/support/certificates.ts";
import { FakeEngine } from "../tests/support/engine/fake_engine.ts";
import { call as callEngine } from "../tests/support/engine/client.ts";
import { freePort } from "../tests/support/environment.ts";
import { authority, startMaster } from "../tests/support/master_setup.ts";
import type { TlsMaster } from "../tests/support/tls_master.ts";
import { loadDocument, type PushedDocument, standInOptions } from "../tests/support/topology.ts";
import { topologyLabel } from "../topology/inventory.ts";

const [columns, margin] = [100, 19];

/** Prints what happens, as it happens, with the time since the start. */
export class Narrator {
  readonly #startedAt = performance.now();

  constructor(readonly write: (text: string) => void) {}

  title(text: string): void {
    this.write(`\n${text}\n`);
  }

  tell(text: string): void {
    this.write(`${wrap(text, columns).join("\n")}\n`);
  }

  /** Prints something that happens now, and more lines below. */
  say(speaker: "host" | "agent" | "master", text: string, more: readonly string[] = []): void {
    const lines = [text, ...more].flatMap((line) => wrap(line, columns - margin));
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1);
    const start = `${seconds.padStart(7)} s  ${speaker.padEnd(6)}  `;
    this.write(`${start}${lines.join(`\n${" ".repeat(margin)}`)}\n`);
  }
}

/** Breaks a text at its spaces; control characters become spaces. */
function wrap(text: string, width: number): string[] {
  const lines = [""];
  for (const word of sanitizeLine(text).split(" ")) {
    const line = lines.pop()!;
    if (line === "" || line.length + 1 + word.length <= width) lines.push(`${line} ${word}`.trim());
    else lines.push(line, word);
  }
  return lines;
}

/** An engine, a stand-in or this machine's, and what a master pushes to it. */
export class Host implements AsyncDisposable {
  #standIn: FakeEngine | null = null;

  private constructor(
    readonly socket: string,
    readonly document: PushedDocument,
    /** The image that is made and removed; null for a stand-in. */
    readonly image: string | null,
  ) {}

  /** A host with a stand-in engine, which has the images and nothing else. */
  static async standIn(folder: string): Promise<Host> {
    const host = new Host(`${folder}/docker.sock`, await loadDocument(standInOptions), null);
    await host.start();
    const { containers } = host.document.plan;
    host.#standIn!.images = containers.map(({ request }) => request.Image);
    return host;
  }

  /** This machine, with names that nobody else uses. Throws `Error` when no engine answers. */
  static async real(socket: string): Promise<Host> {
    const { body: version } = await callEngine(socket, "GET", "/version");
    if (version?.Arch !== "amd64") throw new Error("the demo's image runs on amd64 only");
    const id = crypto.randomUUID();
    const image = `decnet-demo-${id.slice(0, 8)}:1`;
    const images = { base: image, service: image, byService: new Map() };
    // RFC 2544 keeps these addresses for tests.
    return new Host(
      socket,
      await loadDocument({ ...standInOptions, images }, {
        id,
        network: "198.18",
      }),
      image,
    );
  }

  /** The agent's flags that lead to the engine. */
  get flags(): readonly string[] {
    const { socket, image, document: { prefix } } = this;
    if (image === null) return [`--docker-host=unix://${socket}`];
    const options = [`--base-image=${image}`, `--service-image=${image}`, "--publish=off"];
    return [...options, `--network-prefix=${prefix}`, `--container-prefix=${prefix}`];
  }

  /** Makes the image from nothing: its program sleeps. */
  async makeImage(): Promise<void> {
    const [repo = "", tag = ""] = this.image!.split(":");
    const query = new URLSearchParams({ fromSrc: "-", repo, tag, changes: 'CMD ["/pause"]' });
    await this.call("POST", `/images/create?${query}`, pausingImage());
  }

  /** Lists what the engine has of the document: path by id, with the state of containers. */
  async list(): Promise<Map<string, string>> {
    const filters = JSON.stringify({ label: [`${topologyLabel}=${this.document.topology.id}`] });
    const query = `all=1&filters=${encodeURIComponent(filters)}`;
    type Items = { readonly Id: string; readonly State?: string }[];
    const containers = await this.call("GET", `/containers/json?${query}`) as Items;
    const networks = await this.call("GET", `/networks?${query}`) as Items;
    return new Map([
      ...containers.map(({ Id, State }) => [`/containers/${Id}`, State!] as const),
      ...networks.map(({ Id }) => [`/networks/${Id}`, ""] as const).sort(),
    ]);
  }

  /** Calls the engine beside the agent. Throws `Error` when it refuses, but for what is not there. */
  async call(method: string, path: string, body?: Uint8Array): Promise<unknown> {
    const answer = await callEngine(this.socket, method, path, body);
    if (answer.status < 300 || answer.status === 404) return answer.body;
    throw new Error(`Cannot ${method} ${path}: ${answer.status} ${answer.body?.message}`);
  }

  /** Starts the stand-in, with what ran when it was stopped. */
  async start(): Promise<void> {
    const { networks = [], containers = [], images = [] } = this.#standIn ?? {};
    this.#standIn = await FakeEngine.start(this.socket);
    Object.assign(this.#standIn, { networks, containers, images });
  }

  async stop(): Promise<void> {
    await this.#standIn?.stop();
  }

  /** Removes from this machine's engine what was made there. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#standIn) return await this.stop();
    for (const path of (await this.list()).keys()) await this.call("DELETE", `${path}?force=1&v=1`);
    await this.call("DELETE", `/images/${this.image}?force=1`);
  }
}

/** This process as a terminal, without this machine's configuration but for where its engine is. */
export function demoTerminal(more: Partial<Terminal> = {}): Terminal {
  const variables = ["DOCKER_HOST", "XDG_RUNTIME_DIR"];
  return {
    ...processTerminal(),
    variable: (name) =>
      name === "NO_COLOR" ? "1" : (variables.includes(name) && Deno.env.get(name)) || undefined,
    readFile: () => null,
    exists: () => false,
    isRoot: false,
    ...more,
  };
}

/** How often the agent sends heartbeats here, in milliseconds. */
const intervalMs = 1_000;

/** Where a story is told, and what ends it. */
export interface Setting {
  readonly folder: string;
  readonly narrator: Narrator;
  readonly ending: AbortController;
}

/** The agent's loop on a host. */
export class DemoAgent implements AsyncDisposable {
  readonly log: string[] = [];
  readonly flags: readonly string[];
  /** The port of its API. */
  readonly port = freePort();
  readonly #stopping = new AbortController();
  #loop: Promise<unknown> = Promise.resolve();

  constructor(readonly setting: Setting, host: Host, masterPort: number) {
    this.flags = [
      ...["--master-host=127.0.0.1", `--swarmctl-port=${masterPort}`, "--host-uuid=demo-host"],
      ...[`--agent-dir=${setting.folder}`, `--state-dir=${setting.folder}`],
      ...[`--listen=127.0.0.1:${this.port}`, ...host.flags],
    ];
  }

  async start(): Promise<void> {
    const { folder, narrator, ending } = this.setting;
    const names = { commonName: "demo-host", ipAddresses: ["127.0.0.1"] };
    await writeAgentDirectory(folder, authority, await authority.issue(names));
    const { values, config } = parseArguments(this.flags);
    const terminal = demoTerminal({
      stderr: (line) => {
        this.log.push(line);
        narrator.say("agent", line.trimEnd().replace(/^time=\S+ /, ""));
      },
      stopSignal: () => this.#stopping.signal,
      onReload: () => {},
    });
    const configuration = { ...configure(values, config, terminal), intervalMs };
    this.#loop = new Daemon(() => configuration, terminal).run();
    this.#loop.catch((error) => ending.abort(error));
  }

  /** Calls the API. Throws `Error` for another status than the expected one. */
  async call(
    path: string,
    body: unknown,
    { as = master, expected = 200 }: { as?: Identity; expected?: number } = {},
  ): Promise<string> {
    const signal = AbortSignal.any([this.setting.ending.signal, AbortSignal.timeout(120_000)]);
    const answer = await call(this.port, path, as, { method: "POST", body, signal });
    const text = `${answer.status} ${JSON.stringify(answer.body)}`;
    if (answer.status === expected) return text;
    throw new Error(`the agent answered ${text}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#loop.catch(() => {});
  }
}

/** A stand-in master, which prints each heartbeat with something new in it. */
export class DemoMaster implements AsyncDisposable {
  /** All heartbeats, oldest first. */
  readonly received: HeartbeatBody[] = [];
  /** The port, also while the master is gone. */
  readonly port = freePort();
  #server: TlsMaster | null = null;

  constructor(readonly narrator: Narrator) {}

  async start(): Promise<void> {
    const server = this.#server = await startMaster({ port: this.port });
    let shown = "";
    server.answer = () => {
      const body = server.heartbeats.at(-1)!.body as HeartbeatBody;
      this.received.push(body);
      const lines = linesOf(body);
      if (lines.join() !== shown) {
        this.narrator.say("master", `received heartbeat ${this.received.length}`, lines);
      }
      shown = lines.join();
      return { status: 204 };
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.stop();
  }
}

function linesOf({ topology }: HeartbeatBody): string[] {
  if (topology === null) return ["store unreadable"];
  const { topology_id: id, applied_version_hash: hash, observed, drift } = topology;
  const names = (all: readonly string[]) =>
    `${all.length}${all.length > 0 && all.length < 5 ? `: ${all.join(", ")}` : ""}`;
  return [
    `topology: ${id === null ? "none" : `${id}, version ${hash?.slice(0, 12)}…`}`,
    ...("error" in observed
      ? [`error: ${observed.error}`]
      : [`networks: ${names(observed.bridges)}`, `containers: ${names(observed.containers)}`]),
    `drift: ${describeDrift(drift) ?? "none"}`,
  ];
}
