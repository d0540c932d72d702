import { FakeEngine } from "../../tests/support/engine/fake_engine.ts";
import type { Inventory } from "../../topology/inventory.ts";
import { defaultImages } from "../../topology/plan.ts";
import { loadDocument, type PushedDocument } from "./document.ts";
import { EngineClient } from "./engine_client.ts";
import type { Host } from "./host.ts";

/** A host with an engine that has all images and, in the beginning, nothing else. */
export class StandInHost implements Host {
  readonly flags: readonly string[];
  readonly document: PushedDocument;
  readonly #client: EngineClient;
  #engine: FakeEngine;

  private constructor(engine: FakeEngine, document: PushedDocument) {
    this.#engine = engine;
    this.document = document;
    this.#client = new EngineClient(engine.socketPath);
    this.flags = [`--docker-host=unix://${engine.socketPath}`];
  }

  /** Starts the engine in the folder, on `docker.sock`. */
  static async open(folder: string): Promise<StandInHost> {
    const document = await loadDocument(defaultImages);
    const engine = await FakeEngine.start(`${folder}/docker.sock`);
    engine.images = document.plan.containers.map(({ request }) => request.Image);
    return new StandInHost(engine, document);
  }

  get changingCalls(): readonly string[] {
    return this.#engine.changes.map(({ method, path }) => `${method} ${path}`);
  }

  list(): Promise<Inventory> {
    return this.#client.list(this.document.topology.id);
  }

  async kill(container: string): Promise<void> {
    await this.#client.kill(container);
  }

  async remove(container: string): Promise<void> {
    await this.#client.removeContainer(container);
  }

  /** Stops the engine; its socket is gone, and everything else stays as it is. */
  async stop(): Promise<void> {
    await this.#engine.stop();
  }

  /** Starts the engine again. */
  async start(): Promise<void> {
    const before = this.#engine;
    const engine = await FakeEngine.start(before.socketPath);
    engine.networks = before.networks;
    engine.containers = before.containers;
    engine.images = before.images;
    this.#engine = engine;
  }

  /** Same as {@linkcode stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
