import assert from "node:assert/strict";
import { standInOptions } from "../support/topology.ts";
import { Agent } from "../../agent/heartbeat.ts";
import { Wakeup } from "../../agent/schedule.ts";
import { TopologyService } from "../../api/topology_service.ts";
import { Applier } from "../../apply/applier.ts";
import { ApplyError } from "../../apply/apply_error.ts";
import { type ValidatedDocument, validateDocument } from "../../apply/validated_document.ts";
import { createLog } from "../../host/log.ts";
import { versionHash } from "../../topology/hash.ts";
import {
  compareCodePoints,
  type Json,
  NumberToken,
  parseJson,
  writeJson,
} from "../../topology/json.ts";
import { FakeEngine } from "../support/engine/fake_engine.ts";
import { documentBytes } from "./documents.ts";
import { checkCall, checkError, checkMessage, checkPlan, checkSentContainer } from "./oracles.ts";
import type { SeededRandom } from "../support/random.ts";
import type { Target } from "./target.ts";

const never = new AbortController().signal;
const images = ["debian:bookworm-slim", "a/b:1"]
  .concat(["ssh", "http", "smb", "mysql", "ftp"].map((name) => `decnet/${name}:latest`));

/** A host with a stand-in for its engine, and all of the service that works on it. */
export class ServiceHost implements AsyncDisposable {
  readonly service: TopologyService;
  readonly #agent: Agent;

  private constructor(readonly engine: FakeEngine, readonly storePath: string) {
    const options = { sockets: [engine.socketPath], storePath, planOptions: standInOptions };
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
      applier: new Applier({ ...options, master: null, listen: null, supersede: false }),
      wakeup: new Wakeup(),
      log: createLog((line) => checkMessage(line.replace(/\n$/, ""))),
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
    const validated = await examine(document);
    this.clean();
    const outcome = await this.#outcomeOf(document);
    this.checkEngine(validated, outcome);
    return outcome;
  }

  /** Sees that the engine heard of nothing but what was planned, and of nothing for a refusal. */
  checkEngine(validated: ValidatedDocument | ApplyError, outcome: string): void {
    const { requests, changes } = this.engine;
    requests.forEach(checkCall);
    if (validated instanceof ApplyError) {
      assert.notEqual(outcome, "applied");
      assert.deepEqual(requests, [], "a refused document reached the engine");
    } else if (outcome === "applied") {
      assert.equal(this.engine.containers.length, validated.plan.containers.length);
      assert.equal(this.engine.networks.length, validated.plan.networks.length);
      for (const it of validated.plan.containers) {
        checkSentContainer(this.engine.bodyOf(it.name), it);
      }
    } else assert.deepEqual(changes, [], `after ${outcome} something was changed`);
  }

  async #outcomeOf(document: Json): Promise<string> {
    try {
      const fields = document as { [key: string]: Json };
      await this.service.apply(fields, await versionHash(document), {
        address: "127.0.0.1",
        clientSignal: never,
      });
      return "applied";
    } catch (error) {
      if (error instanceof SyntaxError) return "malformed";
      if (!(error instanceof ApplyError)) throw error;
      checkMessage(error.message);
      return error.code;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.close();
    await this.engine.stop();
  }
}

/** Validates a document. Returns the error for one that is refused; checks that. */
export async function examine(document: Json): Promise<ValidatedDocument | ApplyError> {
  try {
    return await validateDocument(document, {
      expectedHash: null,
      planOptions: standInOptions,
    });
  } catch (error) {
    // What the API hands over lies a level deeper in its body, so that it never meets this one.
    if (error instanceof SyntaxError) return new ApplyError("malformed", error.message);
    if (!(error instanceof ApplyError)) throw error;
    assert.ok(error.code === "malformed" || error.code === "invalid", error.code);
    checkMessage(error.message);
    return error;
  }
}

/** How many cases go through the whole service, to an engine. */
const casesForEachRun = 30;

/** Documents, as the API and `apply FILE` take them. */
export async function open(folder: string): Promise<Target> {
  const host = await ServiceHost.open(folder);
  return {
    run: async (random) => {
      const document = read(documentBytes(random));
      if (document === null) return "not JSON";
      if (random.isOneIn(casesForEachRun)) return await host.apply(document);
      const validated = await examine(document);
      if (validated instanceof ApplyError) return validated.code;
      await checkValidated(validated, document, random);
      return "planned";
    },
    close: () => host[Symbol.asyncDispose](),
  };
}

/** The document, or null when the bytes are none. */
function read(bytes: Uint8Array): Json {
  try {
    return parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    checkError(error, ["SyntaxError", "TypeError"]);
    if (error.name === "TypeError") assert.match(error.message, /not valid/);
    checkMessage(error.message, 200);
    return null;
  }
}

async function checkValidated(
  { plan, text, versionHash: hash }: ValidatedDocument,
  document: Json,
  random: SeededRandom,
): Promise<void> {
  checkPlan(plan);
  assert.match(text, /^[\x20-\x7e]*$/);
  const again = parseJson(text);
  assert.equal(writeJson(again), text, "what is stored is read as something else");
  assert.equal(await versionHash(again), hash, "the stored document has another hash");
  assert.equal(await versionHash(shuffled(document, random)), hash, "the order of keys counts");
  const next = await validateDocument(again, {
    expectedHash: hash,
    planOptions: standInOptions,
  });
  assert.deepEqual(next.plan, plan);
}

/** The document with the keys of each object in another order. */
function shuffled(value: Json, random: SeededRandom): Json {
  if (value === null || typeof value !== "object" || value instanceof NumberToken) return value;
  if (Array.isArray(value)) return value.map((item) => shuffled(item, random));
  const sign = random.isOneIn(2) ? 1 : -1;
  const copy: { [key: string]: Json } = Object.create(null);
  for (const key of Object.keys(value).sort((a, b) => sign * compareCodePoints(a, b))) {
    copy[key] = shuffled(value[key]!, random);
  }
  return copy;
}
