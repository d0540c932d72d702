import { Applier, examine, Refusal, type RunOptions } from "../../apply/mod.ts";
import { type AppliedTopology, TopologyStore } from "../../store/mod.ts";
import type { ImageNames, Json } from "../../topology/mod.ts";
import type { Requirement } from "../requirements.ts";
import { TemporaryFolder } from "../temporary_folder.ts";
import { documentOf, isSample, type Sample } from "./apply_sample.ts";
import { CountingProxy } from "./counting_proxy.ts";
import { Playground } from "./playground.ts";
import { dockerSocket } from "./sockets.ts";
import { driftOf } from "./three_lans.ts";

/** What an apply or a teardown has come to. */
export interface Run {
  /** As it says itself. */
  readonly changes: number;
  /** Counted at the engine's socket, without versions and queries. */
  readonly calls: readonly string[];
  readonly steps: readonly string[];
}

/** A host with an engine that counts, images, a store of its own and a topology to be applied. */
export class ApplySetup implements AsyncDisposable {
  readonly images: ImageNames;
  readonly storePath: string;
  /** The id of the topology; its first eight characters are the playground's tag. */
  readonly id: string;

  private constructor(
    readonly playground: Playground,
    readonly proxy: CountingProxy,
    readonly folder: TemporaryFolder,
  ) {
    const image = `decnet-agent-test-${playground.tag}:1`;
    this.images = { base: image, service: image, byService: new Map() };
    this.storePath = `${folder.path}/topology.db`;
    this.id = `${playground.tag}-7425-40de-944b-e07fc1f90ae7`;
  }

  static async open(socketPath = dockerSocket): Promise<ApplySetup> {
    const playground = await Playground.open(socketPath);
    const folder = new TemporaryFolder();
    const proxy = CountingProxy.start(`${folder.path}/docker.sock`, socketPath);
    return new ApplySetup(playground, proxy, folder);
  }

  /** The full name of a LAN, a decky or a service, in lower case. */
  readonly name = (short: string): string => `decnet_t_${this.playground.tag}_${short}`;

  /** The document of a topology. */
  document(sample: Sample): Json {
    return documentOf({ id: this.id, ...sample }, this.playground);
  }

  /** Applies a document. Throws `Refusal`. */
  async apply(
    sample: Sample | Json,
    { supersede = false, images = this.images } = {},
  ): Promise<Run> {
    const document = isSample(sample) ? this.document(sample) : sample;
    const candidate = await examine(document, { expectedHash: null, images });
    return await this.#run({ supersede, images }, (applier, options) => {
      return applier.apply(candidate, options);
    });
  }

  /** As `apply`, of what must be refused: why, and the calls that would have changed something. */
  async refusal(
    sample: Sample | Json,
    options: { supersede?: boolean; images?: ImageNames } = {},
  ): Promise<{ kind: string; message: string; calls: readonly string[] }> {
    return await this.#refusalOf(() => this.apply(sample, options));
  }

  /** Tears a topology down. Throws `Refusal`. */
  async teardown(id = this.id): Promise<Run> {
    return await this.#run({}, (applier, options) => applier.teardown(id, options));
  }

  /** As `teardown`, of what must be refused. */
  async teardownRefusal(id = this.id) {
    return await this.#refusalOf(() => this.teardown(id));
  }

  /** What the store holds. */
  row(): AppliedTopology | null {
    using store = TopologyStore.open(this.storePath, { readOnly: true });
    return store.current();
  }

  /** How the engine differs from a document. */
  async drift(sample: Sample | Json) {
    const document = isSample(sample) ? this.document(sample) : sample;
    const { plan } = await examine(document, { expectedHash: null, images: this.images });
    return await driftOf(this.playground, plan);
  }

  /** Short name → id, of every network and container that bears the topology's prefix. */
  async ids(): Promise<Map<string, string>> {
    const { playground } = this;
    const [networks, containers] = await Promise.all([
      playground.networks(),
      playground.containers(),
    ]);
    const named = [
      ...networks.map(({ Name, Id }): [string, string] => [Name, Id]),
      ...containers.map(({ Names, Id }): [string, string] => [Names[0]!.slice(1), Id]),
    ];
    const prefix = this.name("");
    return new Map(
      named.map(([name, id]): [string, string] => [name.replace(prefix, ""), id]).sort(),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
    await this.playground[Symbol.asyncDispose]();
  }

  async #run(
    { supersede = false, images = this.images },
    work: (applier: Applier, options: RunOptions) => Promise<{ changes: number }>,
  ): Promise<Run> {
    const sockets = [`${this.folder.path}/docker.sock`];
    const applier = new Applier({ sockets, storePath: this.storePath, images, supersede });
    const steps: string[] = [];
    this.proxy.requests = [];
    const { changes } = await work(applier, {
      signal: new AbortController().signal,
      onStep: ({ text }) => steps.push(text.replaceAll(this.name(""), "")),
    });
    return { changes, calls: this.#calls(), steps };
  }

  async #refusalOf(run: () => Promise<Run>) {
    try {
      const { steps } = await run();
      throw new Error(`It was not refused: ${steps.join(", ")}`);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { kind: error.kind, message: error.message, calls: this.#calls() };
    }
  }

  /** What has changed the engine. */
  #calls(): string[] {
    return this.proxy.changes.map((line) => line.split("?")[0]!);
  }
}

/** The names whose ids are not the same any more: made anew, come, or gone. */
export function changed(before: Map<string, string>, after: Map<string, string>): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name)).sort();
}

/** Adds a test on a host of its own to those that need an engine. */
export function testerOf({ ignore, suffix, check }: Requirement, socketPath = dockerSocket) {
  return (name: string, run: (setup: ApplySetup) => Promise<void>) =>
    Deno.test({
      name: name + suffix,
      ignore,
      async fn() {
        check();
        await using setup = await ApplySetup.open(socketPath);
        await run(setup);
      },
    });
}
