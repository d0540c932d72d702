import { Agent, type AgentOptions, type Beat } from "../agent/mod.ts";
import { TopologyStore } from "../store/mod.ts";
import { defaultImages, parseJson, versionHash as hashOf } from "../topology/mod.ts";
import { writeAgentDirectory } from "./certificates.ts";
import { container, FakeEngine, network } from "./engine/mod.ts";
import { authority, startMaster } from "./master_setup.ts";
import { withPassword } from "./secrets.ts";
import { TemporaryFolder } from "./temporary_folder.ts";
import type { TlsMaster } from "./tls_master.ts";

/** The document of one LAN with one decky. */
export const document: string = withPassword(
  Deno.readTextFileSync(new URL("./data/topology-one-lan.json", import.meta.url)),
);
/** The id in it. */
export const topologyId = "11111111-2222-3333-4444-555555555555";
/** Its version hash. */
export const versionHash: string = await hashOf(parseJson(document));

const lan = "decnet_t_11111111_lan-00";
const decky = "decnet_t_11111111_decky-001";

/** A host with an engine and a master of its own, in a folder of its own. */
export class AgentSetup implements AsyncDisposable {
  readonly path: string;
  readonly storePath: string;
  /** The master's port, also when it has stopped. */
  readonly port: number;

  private constructor(
    readonly folder: TemporaryFolder,
    readonly engine: FakeEngine,
    readonly master: TlsMaster,
  ) {
    this.path = folder.path;
    this.storePath = `${folder.path}/topology.db`;
    this.port = master.port;
  }

  /** Nothing is applied and nothing runs at first; the certificates are in place. */
  static async create(): Promise<AgentSetup> {
    const folder = new TemporaryFolder();
    const engine = await FakeEngine.start(`${folder.path}/docker.sock`);
    const setup = new AgentSetup(folder, engine, await startMaster());
    await setup.writeCertificates("worker-1");
    return setup;
  }

  /** Puts a certificate of this name in place. */
  async writeCertificates(commonName: string, notAfter?: Date): Promise<void> {
    const options = { commonName, usage: "client", ...(notAfter && { notAfter }) } as const;
    await writeAgentDirectory(this.path, authority, await authority.issue(options));
  }

  /** An agent of this host; close it. */
  newAgent(options: Partial<AgentOptions> = {}): Agent {
    return new Agent({
      agentVersion: "1.2.3",
      hostUuid: "host-1",
      master: { host: "127.0.0.1", port: this.port, name: "master.test", fingerprint: null },
      agentDirectory: this.path,
      storePath: this.storePath,
      sockets: [this.engine.socketPath],
      networkPrefixes: ["decnet-topology-", "decnet_t_"],
      containerPrefixes: ["decnet-", "decnet_t_"],
      images: defaultImages,
      ...options,
    });
  }

  /** Changes the store; its clock stands at 1,700,000,000 s. */
  changeStore(change: (store: TopologyStore) => void): void {
    using store = TopologyStore.open(this.storePath, { now: () => 1_700_000_000_000 });
    change(store);
  }

  /** Applies the document of one LAN, as far as the store and Docker can tell. */
  apply(): void {
    this.changeStore((store) => store.put(topologyId, versionHash, document));
    const labels = { "decnet.topology.id": topologyId };
    this.engine.networks = [
      network({ name: "bridge", subnet: "172.17.0.0/16" }),
      network({ name: lan, subnet: "10.0.0.0/24", labels }),
    ];
    this.engine.containers = [
      container({ name: "unrelated" }),
      container({ name: `${decky}-ssh`, labels, networkMode: `container:${decky}` }),
      container({ name: decky, labels, addresses: { [lan]: "10.0.0.2" } }),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine.stop();
    await this.master.stop();
    this.folder[Symbol.dispose]();
  }
}

/** Runs a test on a host and an agent of it. */
export async function withAgent(
  test: (setup: AgentSetup, agent: Agent) => Promise<void>,
  options?: (setup: AgentSetup) => Partial<AgentOptions>,
): Promise<void> {
  await using setup = await AgentSetup.create();
  const agent = setup.newAgent(options?.(setup));
  try {
    await test(setup, agent);
  } finally {
    agent.close();
  }
}

/** A beat, and the body that the master got; null when it got none. */
export interface BeatAndBody {
  readonly beat: Beat;
  readonly received: Beat["body"] | null;
}

/** Runs a test on a host and a way to make it beat. */
export async function withBeats(
  test: (setup: AgentSetup, beat: () => Promise<BeatAndBody>) => Promise<void>,
  options?: (setup: AgentSetup) => Partial<AgentOptions>,
): Promise<void> {
  await withAgent(async (setup, agent) => {
    const { master } = setup;
    await test(setup, async () => {
      const before = master.beatCount;
      const beat = await agent.beat(new AbortController().signal);
      const received = master.beatCount > before ? master.beats.at(-1)!.body : null;
      return { beat, received: received as Beat["body"] | null };
    });
  }, options);
}
