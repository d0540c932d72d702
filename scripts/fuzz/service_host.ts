import assert from "node:assert/strict";
import { Agent, Bell } from "../../agent/mod.ts";
import { TopologyService } from "../../api/topology_service.ts";
import { Applier, type Candidate, examine, Refusal } from "../../apply/mod.ts";
import { defaultImages, type Json, versionHash } from "../../topology/mod.ts";
import { FakeEngine } from "../../tests/engine/mod.ts";
import { checkMessage } from "./message_oracle.ts";
import { checkCall, checkSentContainer } from "./request_oracle.ts";

const never = new AbortController().signal;
const images = ["debian:bookworm-slim", "a/b:1"]
  .concat(["ssh", "http", "smb", "mysql", "ftp"].map((name) => `decnet/${name}:latest`));

/** A host with a stand-in for its engine, and all of the service that works on it. */
export class ServiceHost implements AsyncDisposable {
  readonly service: TopologyService;
  readonly #agent: Agent;

  private constructor(readonly engine: FakeEngine, readonly storePath: string) {
    const options = { sockets: [engine.socketPath], storePath, images: defaultImages };
    this.#agent = new Agent({
      ...options,
      agentVersion: "1.2.3",
      hostUuid: "host-1",
      master: null,
      agentDirectory: "/nonexistent",
      networkPrefixes: ["decnet_t_"],
      containerPrefixes: ["decnet_t_"],
    });
    this.service = new TopologyService({
      agent: this.#agent,
      applier: new Applier({ ...options, supersede: false }),
      images: defaultImages,
      bell: new Bell(),
      log: (_level, message) => checkMessage(message),
      signal: never,
    });
  }

  static async open(folder: string): Promise<ServiceHost> {
    const engine = await FakeEngine.start(`${folder}/docker.sock`);
    engine.images = images;
    return new ServiceHost(engine, `${folder}/topology.db`);
  }

  /** Forgets what cases before this one have left. */
  clean(): void {
    const { engine } = this;
    engine.networks = [];
    engine.containers = [];
    engine.changes.length = 0;
    engine.requests.length = 0;
    try {
      Deno.removeSync(this.storePath);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /** Applies a document and sees that the engine hears of nothing but what was planned. */
  async apply(document: Json): Promise<string> {
    const candidate = await candidateOf(document);
    this.clean();
    const outcome = await this.#applied(document);
    this.checkEngine(candidate, outcome);
    return outcome;
  }

  /** Sees that the engine heard of nothing but what was planned, and of nothing for a refusal. */
  checkEngine(candidate: Candidate | null, outcome: string): void {
    const { requests, changes } = this.engine;
    requests.forEach(checkCall);
    if (!candidate) {
      assert.notEqual(outcome, "applied");
      assert.deepEqual(requests, [], "a refused document reached the engine");
    } else if (outcome === "applied") {
      assert.equal(this.engine.containers.length, candidate.plan.containers.length);
      assert.equal(this.engine.networks.length, candidate.plan.networks.length);
      for (const it of candidate.plan.containers) {
        checkSentContainer(this.engine.bodyOf(it.name), it);
      }
    } else assert.deepEqual(changes, [], `after ${outcome} something was changed`);
  }

  async #applied(document: Json): Promise<string> {
    try {
      const fields = document as { [key: string]: Json };
      await this.service.apply(fields, await versionHash(document), never);
      return "applied";
    } catch (error) {
      if (error instanceof SyntaxError) return "malformed";
      if (!(error instanceof Refusal)) throw error;
      checkMessage(error.message);
      return error.kind;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.close();
    await this.engine.stop();
  }
}

/** What is planned for a document, or null when it is refused. */
export async function candidateOf(document: Json): Promise<Candidate | null> {
  try {
    return await examine(document, { expectedHash: null, images: defaultImages });
  } catch {
    return null;
  }
}
