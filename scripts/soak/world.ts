import type { AgentOptions } from "../../agent/mod.ts";
import { createAuthority } from "../../tests/certificates.ts";
import { TemporaryFolder } from "../../tests/temporary_folder.ts";
import { defaultImages } from "../../topology/mod.ts";
import { loadDocument } from "../demo/document.ts";
import { seededRandom } from "../random_document.ts";
import { Ailment } from "./ailment.ts";
import { openCertificates } from "./certificates.ts";
import { openEngine } from "./engine.ts";
import { openMaster } from "./master.ts";
import { openStore } from "./store.ts";

/** How long the agent waits for an answer of the engine here, in milliseconds. */
const callTimeoutMs = 2_000;

/** All that an agent must know of a world; the images are the default ones. */
export type WorldOptions = Omit<AgentOptions, "images">;

/** All that an agent looks at, in this process and a folder, where things go wrong at random. */
export class World implements AsyncDisposable {
  /** How an agent finds it. */
  readonly agentOptions: WorldOptions;
  readonly #ailments: readonly Ailment[];
  readonly #stack: AsyncDisposableStack;

  private constructor(
    agentOptions: WorldOptions,
    ailments: readonly Ailment[],
    stack: AsyncDisposableStack,
  ) {
    this.agentOptions = agentOptions;
    this.#ailments = ailments;
    this.#stack = stack;
  }

  /** All is well at first; the same goes wrong, in the same order, for the same seed. */
  static async create(seed: number): Promise<World> {
    await using stack = new AsyncDisposableStack();
    const { path } = stack.use(new TemporaryFolder());
    const pushed = await loadDocument(defaultImages);
    const authority = await createAuthority("soak");
    const engine = await openEngine(`${path}/docker.sock`, pushed.plan, stack);
    const master = await openMaster(authority, stack);
    const store = openStore(`${path}/topology.db`, pushed, stack);
    const certificates = await openCertificates(path, authority);
    const random = seededRandom(seed);
    const subjects = [...engine, master.subject, store, certificates];
    const options = {
      agentVersion: "0.0.0",
      hostUuid: "11111111-aaaa-4bbb-8ccc-222222222222",
      master: { host: "127.0.0.1", port: master.port, name: "master.test", fingerprint: null },
      agentDirectory: path,
      storePath: `${path}/topology.db`,
      sockets: [`${path}/docker.sock`],
      networkPrefixes: ["decnet-topology-", "decnet_t_"],
      containerPrefixes: ["decnet-", "decnet_t_"],
      callTimeoutMs,
    };
    const ailments = subjects.map((subject) => new Ailment(subject, random));
    return new World(options, ailments, stack.move());
  }

  /** Lets time pass, for something to go wrong or right. */
  async step(): Promise<void> {
    for (const ailment of this.#ailments) await ailment.step();
  }

  /** Makes all well. */
  async heal(): Promise<void> {
    for (const ailment of this.#ailments) await ailment.heal();
  }

  /** What has gone wrong so far, and how often. */
  get counts(): ReadonlyMap<string, number> {
    return new Map(this.#ailments.flatMap(({ counts }) => [...counts]));
  }

  /** How many lines the agent may have logged of all this, those about the master apart. */
  get lines(): number {
    return this.#ailments.reduce((sum, { lines }) => sum + lines, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
