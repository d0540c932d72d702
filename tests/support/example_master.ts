import type { Agent } from "../../agent/heartbeat.ts";
import { Hosts, type MasterOptions, serve } from "../../examples/master/master.ts";
import { AgentSetup } from "./agent_setup.ts";
import { TemporaryFolder } from "./environment.ts";
import { authority } from "./master_setup.ts";

const certificate = await authority.issue({
  commonName: "decnet-master",
  dnsNames: ["master.test"],
  ipAddresses: ["127.0.0.1"],
});
/** The example's certificates, as it takes them. */
export const identity = {
  ca: authority.certificatePem,
  cert: certificate.certificatePem,
  key: certificate.keyPem,
};

/** The example master on free ports of this host, with a database of its own. */
export class ExampleMaster implements AsyncDisposable {
  /** What it has logged. */
  readonly log: string[] = [];
  readonly #folder = new TemporaryFolder();
  readonly hosts = new Hosts(`${this.#folder.path}/master.db`);
  #server: Awaited<ReturnType<typeof serve>> | null = null;

  static async start(options: Partial<MasterOptions> = {}): Promise<ExampleMaster> {
    const master = new ExampleMaster();
    master.#server = await serve(master.hosts, {
      ...identity,
      listen: "127.0.0.1",
      port: 0,
      pagePort: 0,
      intervalMs: 30_000,
      marginMs: 10_000,
      log: (line) => master.log.push(line),
      ...options,
    });
    return master;
  }

  get port(): number {
    return this.#server!.port;
  }

  get url(): string {
    return this.#server!.url;
  }

  /** Enrols the host of a setup as `host-1`; answers an agent of it that heartbeats here. */
  enrol(setup: AgentSetup, name = "lab-1"): Agent {
    this.hosts.enrol("host-1", Deno.readTextFileSync(`${setup.path}/worker.crt`), { name });
    return this.agentOf(setup);
  }

  /** An agent of a setup that heartbeats here; close it. */
  agentOf(setup: AgentSetup, hostUuid = "host-1"): Agent {
    const address = { host: "127.0.0.1", port: this.port, name: "master.test", fingerprint: null };
    return setup.newAgent({ hostUuid, master: address });
  }

  /** The page as it is now. */
  async page(): Promise<string> {
    return await (await fetch(this.url)).text();
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
    this.#server = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.hosts.close();
    this.#folder[Symbol.dispose]();
  }
}

/** Runs a test on an example master with one host enrolled, and an agent of that host. */
export async function withExample(
  test: (
    master: ExampleMaster,
    setup: AgentSetup,
    heartbeat: () => ReturnType<Agent["sendHeartbeat"]>,
  ) => Promise<void>,
  options: Partial<MasterOptions> = {},
): Promise<void> {
  await using master = await ExampleMaster.start(options);
  await using setup = await AgentSetup.create();
  const agent = master.enrol(setup);
  try {
    await test(master, setup, () => agent.sendHeartbeat(new AbortController().signal));
  } finally {
    agent.close();
  }
}
