import assert from "node:assert/strict";
import {
  Applier,
  type ApplierOptions,
  type ApplyRequest,
  type ApplyResult,
} from "../../apply/applier.ts";
import { ApplyError } from "../../apply/apply_error.ts";
import type { RunOptions } from "../../apply/reconcile.ts";
import { type ValidatedDocument, validateDocument } from "../../apply/validated_document.ts";
import { observe } from "../../docker/observe.ts";
import { type AppliedTopology } from "../../store/row.ts";
import { readRow } from "../../store/topology_store.ts";
import { findDrift } from "../../topology/drift.ts";
import { parseJson, writeJson } from "../../topology/json.ts";
import { FakeEngine } from "./engine/fake_engine.ts";
import { container, imageIdOf, network } from "./engine/state.ts";
import { TemporaryFolder } from "./environment.ts";
import { withPassword } from "./secrets.ts";
import { standInOptions } from "./topology.ts";

/** A host whose engine is a stand-in, with a store and appliers. */

const never = new AbortController().signal;

/** Validates a document. */
export async function validatedOf(text: string): Promise<ValidatedDocument> {
  return await validateDocument(parseJson(text), {
    expectedHash: null,
    planOptions: standInOptions,
  });
}

/**
 * Returns the document in a file of tests/data, on subnets that are reserved for tests: on others this
 * machine may have an address, and the topology would be refused.
 */
export function textOf(name: string): string {
  return withPassword(Deno.readTextFileSync(new URL(`../data/${name}`, import.meta.url)))
    .replaceAll('"10.77.', '"198.18.').replaceAll('"10.0.0.', '"198.19.0.');
}

/** The request to apply a document. */
export function requestOf({ text, versionHash }: ValidatedDocument): ApplyRequest {
  return { document: parseJson(text), expectedHash: versionHash };
}

/** A document of three LANs, four deckies and five services; its id starts with 7c9e6679. */
export const threeLans: ValidatedDocument = await validatedOf(textOf("topology-three-lans.json"));
/** A document of one LAN with a decky; its id starts with 11111111. */
export const oneLan: ValidatedDocument = await validatedOf(textOf("topology-one-lan.json"));

/** Foreign objects, on the host from the start. */
const others = {
  networks: [
    network({ name: "bridge", subnet: "172.17.0.0/16" }),
    network({ name: "decnet_t_7c9e6679_other", subnet: "10.9.0.0/24" }),
    network({
      name: "decnet_t_other",
      subnet: "10.8.0.0/24",
      labels: { "decnet.topology.id": "other" },
    }),
  ],
  containers: [
    container({ name: "decnet_t_7c9e6679_unrelated", addresses: { bridge: "172.17.0.9" } }),
    container({
      name: "decnet_t_other_decky",
      addresses: { decnet_t_other: "10.8.0.2" },
      labels: {
        "decnet.topology.id": "other",
        "decnet.topology.image": imageIdOf("busybox:latest"),
      },
    }),
  ],
};

/** How an apply or a teardown is run; with the address of a caller an apply is a push. */
type HostOptions = Partial<
  RunOptions & Pick<ApplierOptions, "supersede"> & Pick<ApplyRequest, "callerAddress">
>;

/** A host with the images of both documents, and with objects of others on it. */
export class ApplyHost implements AsyncDisposable {
  readonly storePath: string;

  private constructor(readonly folder: TemporaryFolder, readonly engine: FakeEngine) {
    this.storePath = `${folder.path}/topology.db`;
    engine.networks = others.networks;
    engine.containers = others.containers;
    engine.images = [threeLans, oneLan]
      .flatMap(({ plan }) => plan.containers.map(({ request }) => request.Image));
  }

  static async open(): Promise<ApplyHost> {
    const folder = new TemporaryFolder();
    return new ApplyHost(folder, await FakeEngine.start(`${folder.path}/docker.sock`));
  }

  applier(options: Partial<ApplierOptions> = {}): Applier {
    return new Applier({
      sockets: [this.engine.socketPath],
      storePath: this.storePath,
      planOptions: standInOptions,
      master: null,
      listen: null,
      supersede: false,
      ...options,
    });
  }

  /** Throws `ApplyError`. */
  apply(
    validated: ValidatedDocument,
    { supersede = false, callerAddress, ...run }: HostOptions = {},
  ): Promise<ApplyResult> {
    const request = { ...requestOf(validated), callerAddress };
    return this.applier({ supersede }).apply(request, { signal: never, ...run });
  }

  /** Applies a document as the master does. Throws `ApplyError`. */
  push(validated: ValidatedDocument, options: HostOptions = {}): Promise<ApplyResult> {
    return this.apply(validated, { callerAddress: "192.0.2.7", ...options });
  }

  /** Throws `ApplyError`. */
  teardown(id: string, options: HostOptions = {}): Promise<ApplyResult> {
    return this.applier().teardown(id, { signal: never, ...options });
  }

  /** Adds objects to those that the engine has. */
  add({ networks = [], containers = [] }: Partial<Pick<FakeEngine, "networks" | "containers">>) {
    this.engine.networks = [...this.engine.networks, ...networks];
    this.engine.containers = [...this.engine.containers, ...containers];
  }

  /** What the store holds. */
  row(): AppliedTopology | null {
    return readRow(this.storePath);
  }

  /** Changing calls since so many, `METHOD /path` without ids and queries. */
  changes(since = 0): string[] {
    return this.engine.changes.slice(since).map(({ method, path }) =>
      `${method} ${path.replace(/\?.*/, "").replace(/[0-9a-f]{64}/, "{id}")}`
    );
  }

  /** Asserts that Docker and the store match a document, and that foreign objects are unchanged. */
  async assertApplied({ plan, text, versionHash }: ValidatedDocument): Promise<void> {
    const { topologyId: id } = plan;
    const row = this.row();
    assert.deepEqual([row?.topologyId, row?.versionHash, row?.lastError], [id, versionHash, null]);
    assert.equal(row?.document, writeJson(parseJson(text)));
    const { inventory } = await observe(never, {
      socket: this.engine.socketPath,
      networkPrefixes: [],
      containerPrefixes: [],
    });
    const isOurs = ({ labels }: { labels: ReadonlyMap<string, string> }) =>
      labels.get("decnet.topology.id") !== "other";
    const ours = {
      networks: inventory.networks.filter(isOurs),
      containers: inventory.containers.filter(isOurs),
    };
    const { state, ...drift } = findDrift(plan, ours);
    assert.equal(state, "consistent", JSON.stringify(drift));
    assert.equal(ours.networks.length, plan.networks.length);
    assert.equal(ours.containers.length, plan.containers.length);
    this.assertOthers();
  }

  /** Asserts that only the foreign objects are left, and nothing in the store. */
  assertNothingLeft(): void {
    assert.equal(this.row(), null);
    assert.deepEqual(this.engine.networks, others.networks);
    assert.deepEqual(this.engine.containers, others.containers);
  }

  /** Asserts that foreign objects are unchanged. */
  assertOthers(): void {
    for (const it of others.networks) assert.ok(this.engine.networks.includes(it), it.Name);
    for (const it of others.containers) assert.ok(this.engine.containers.includes(it), it.Id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine.stop();
    this.folder[Symbol.dispose]();
  }
}

/** Runs a test on a host of its own. */
export async function withHost(test: (host: ApplyHost) => Promise<void>): Promise<void> {
  await using host = await ApplyHost.open();
  await test(host);
}

/** Defines tests, each on a host of its own. */
export const onHost = {
  test: (title: string, test: (host: ApplyHost) => Promise<void>): void =>
    Deno.test(title, () => withHost(test)),
};

/** Returns the error of an apply or a teardown. Throws `AssertionError` when there is none. */
export async function refusalOf(run: Promise<ApplyResult>): Promise<ApplyError> {
  try {
    await run;
  } catch (error) {
    assert.ok(error instanceof ApplyError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: "it was not refused" });
}
