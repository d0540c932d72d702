import assert from "node:assert/strict";
import { Applier } from "../../apply/applier.ts";
import { ApplyError } from "../../apply/apply_error.ts";
import type { RunOptions } from "../../apply/reconcile.ts";
import { validateDocument } from "../../apply/validated_document.ts";
import { type AppliedTopology } from "../../store/row.ts";
import { readRow } from "../../store/topology_store.ts";
import { type Json, parseJson } from "../../topology/json.ts";
import { defaultPlanOptions, type PlanOptions } from "../../topology/plan.ts";
import { TemporaryFolder, until } from "../support/environment.ts";
import { withPassword } from "../support/secrets.ts";
import { CountingProxy } from "./counting_proxy.ts";
import { docker, type TestEngine } from "./engines.ts";
import { DockerSandbox } from "./sandbox.ts";
import { driftOf } from "./three_lans.ts";

/** The parts of a document that matter here. */
export interface Sample {
  /** Instead of the host's own. */
  readonly id?: string;
  /** LAN name → number of its subnet; the first one is the DMZ. */
  readonly lans: Readonly<Record<string, number>>;
  readonly deckies: Readonly<Record<string, SampleDecky>>;
}

/** A decky of a document. */
export interface SampleDecky {
  /** LAN name → number of the host in its subnet. */
  readonly on: Readonly<Record<string, number>>;
  readonly services?: readonly string[];
  /** Service name → image. */
  readonly images?: Readonly<Record<string, string>>;
  readonly forwards?: boolean;
}

/** Returns the document of a sample, on the sandbox's subnets. */
export function documentOf(
  { id, lans, deckies }: Sample & { id: string },
  sandbox: DockerSandbox,
): Json {
  return parseJson(withPassword(JSON.stringify({
    topology: { id, name: "sample", needs_resync: false },
    lans: Object.entries(lans).map(([name, number], index) => ({
      id: name,
      name,
      subnet: sandbox.subnet(number),
      is_dmz: index === 0,
    })),
    deckies: Object.entries(deckies).map(([name, decky]) => ({
      uuid: name,
      name,
      services: decky.services ?? [],
      decky_config: {
        name,
        ips_by_lan: Object.fromEntries(
          Object.entries(decky.on).map(([lan, host]) => [
            lan,
            sandbox.address(lans[lan]!, host),
          ]),
        ),
        forwards_l3: decky.forwards ?? false,
        service_config: Object.fromEntries(
          Object.entries(decky.images ?? {}).map(([service, image]) => [service, { image }]),
        ),
      },
    })),
    edges: [],
    // An unknown key: stored and ignored.
    planted: { service_config: {} },
  })));
}

/** Whether it is not a document yet. */
function isSample(value: Sample | Json): value is Sample {
  return typeof value === "object" && value !== null && "lans" in value &&
    !Array.isArray(value.lans);
}

/** The result of an apply or a teardown. */
interface Run {
  /** As the result counts them. */
  readonly changes: number;
  /** Counted at the engine's socket, without versions and queries. */
  readonly calls: readonly string[];
  readonly steps: readonly string[];
}

/** A host with a counting proxy before the engine, images, a store and a topology to apply. */
export class ApplySetup implements AsyncDisposable {
  planOptions: PlanOptions;
  readonly storePath: string;
  /** The label of the topology's objects. */
  readonly labels: Readonly<Record<string, string>>;
  /** The id of the topology; its first eight characters are the sandbox's tag. */
  readonly id: string;

  private constructor(
    readonly sandbox: DockerSandbox,
    readonly proxy: CountingProxy,
    readonly folder: TemporaryFolder,
  ) {
    const image = `decnet-agent-test-${sandbox.tag}:1`;
    const images = { base: image, service: image, byService: new Map() };
    this.planOptions = { ...defaultPlanOptions, images, publish: null };
    this.storePath = `${folder.path}/topology.db`;
    this.id = `${sandbox.tag}-7425-40de-944b-e07fc1f90ae7`;
    this.labels = { "decnet.topology.id": this.id };
  }

  static async open(socketPath: string): Promise<ApplySetup> {
    const sandbox = await DockerSandbox.open(socketPath);
    const folder = new TemporaryFolder();
    const proxy = CountingProxy.start(`${folder.path}/docker.sock`, socketPath);
    return new ApplySetup(sandbox, proxy, folder);
  }

  /** The full name of a LAN, a decky or a service, in lower case. */
  readonly name = (short: string): string => `decnet_t_${this.sandbox.tag}_${short}`;

  /** The document of a topology. */
  document(sample: Sample): Json {
    return documentOf({ id: this.id, ...sample }, this.sandbox);
  }

  /** Applies a document. Throws `ApplyError`. */
  async apply(
    sample: Sample | Json,
    { supersede = false, planOptions = this.planOptions } = {},
  ): Promise<Run> {
    const document = isSample(sample) ? this.document(sample) : sample;
    return await this.#run({ supersede, planOptions }, (applier, options) => {
      return applier.apply({ document, expectedHash: null }, options);
    });
  }

  /** Applies a document that must be refused; returns the error and the changing calls. */
  async refusal(
    sample: Sample | Json,
    options: { supersede?: boolean; planOptions?: PlanOptions } = {},
  ): Promise<{ kind: string; message: string; calls: readonly string[] }> {
    return await this.#refusalOf(() => this.apply(sample, options));
  }

  /** Tears a topology down. Throws `ApplyError`. */
  async teardown(id = this.id): Promise<Run> {
    return await this.#run({}, (applier, options) => applier.teardown(id, options));
  }

  /** Runs a teardown that must be refused. */
  async teardownRefusal(id = this.id) {
    return await this.#refusalOf(() => this.teardown(id));
  }

  /** What the store holds. */
  row(): AppliedTopology | null {
    return readRow(this.storePath);
  }

  /** Asserts that the engine has what a document says, and that applying it again changes nothing. */
  async assertApplied(
    sample: Sample | Json,
    { planOptions = this.planOptions } = {},
  ): Promise<void> {
    assert.equal((await this.drift(sample, { planOptions })).state, "consistent");
    const nothing = { changes: 0, calls: [], steps: [] };
    assert.deepEqual(await this.apply(sample, { planOptions }), nothing);
  }

  /** Asserts that a teardown has left nothing. */
  async assertTornDown(): Promise<void> {
    assert.deepEqual([...(await this.ids()).keys()], []);
    assert.equal(this.row(), null);
  }

  /** How the engine differs from a document. */
  async drift(sample: Sample | Json, { planOptions = this.planOptions } = {}) {
    const document = isSample(sample) ? this.document(sample) : sample;
    const { plan } = await validateDocument(document, { expectedHash: null, planOptions });
    return await driftOf(this.sandbox, plan);
  }

  /** Short name → id of every network and container with the topology's prefix. */
  async ids(): Promise<Map<string, string>> {
    const short = (name: string) => name.replace(this.name(""), "");
    const networks = (await this.sandbox.networks()).map(({ Name, Id }) => [short(Name), Id]);
    const containers = (await this.sandbox.containers()).map(({ Names: [name], Id }) => [
      short(name!.slice(1)),
      Id,
    ]);
    return new Map([...networks, ...containers].sort() as [string, string][]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
    await this.sandbox[Symbol.asyncDispose]();
  }

  async #run(
    { supersede = false, planOptions = this.planOptions },
    work: (applier: Applier, options: RunOptions) => Promise<{ changes: number }>,
  ): Promise<Run> {
    const sockets = [`${this.folder.path}/docker.sock`];
    const applier = new Applier({
      sockets,
      storePath: this.storePath,
      planOptions,
      master: null,
      listen: null,
      supersede,
    });
    const steps: string[] = [];
    this.proxy.requests = [];
    const { changes } = await work(applier, {
      signal: new AbortController().signal,
      onProgress: ({ text }) => steps.push(text.replaceAll(this.name(""), "")),
    });
    return { changes, calls: this.#calls(), steps };
  }

  async #refusalOf(run: () => Promise<Run>) {
    try {
      const { steps } = await run();
      throw new Error(`It was not refused: ${steps.join(", ")}`);
    } catch (error) {
      if (!(error instanceof ApplyError)) throw error;
      return { kind: error.code, message: error.message, calls: this.#calls() };
    }
  }

  /** The calls that have changed the engine. */
  #calls(): string[] {
    return this.proxy.changes.map((line) => line.split("?")[0]!);
  }
}

/** Returns the names whose ids differ: recreated, new or gone. */
export function changed(before: Map<string, string>, after: Map<string, string>): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name)).sort();
}

/** Adds a test with a host of its own. */
export function testApply(
  name: string,
  run: (setup: ApplySetup, t: Deno.TestContext) => Promise<void>,
  { requirement, socket }: Omit<TestEngine, "name"> = docker,
): void {
  requirement.test(name, async (t) => {
    await using setup = await ApplySetup.open(socket);
    await run(setup, t);
  });
}

/** What is applied before it is damaged. */
export const sample: Sample = {
  lans: { dmz: 0, inside: 1 },
  deckies: {
    web: { on: { dmz: 2, inside: 2 }, services: ["http", "ssh"] },
    files: { on: { inside: 3 }, services: ["smb"] },
    front: { on: { dmz: 4 } },
  },
};

/** What an operator or a crash may do, and the steps that fix it. */
interface Damage {
  readonly name: string;
  readonly make: (setup: ApplySetup) => Promise<unknown>;
  /** The differences, as `kind name: detail`. */
  readonly drift: readonly string[];
  /** The objects that are recreated. */
  readonly recreated: readonly string[];
  /** The steps of the apply that fixes it. */
  readonly steps: readonly string[];
}

const onInside = ["files", "files-smb", "inside", "web", "web-http", "web-ssh"];
const stoppedInside = onInside.filter((it) => it !== "inside").map((it) => `stopped ${it}: exited`);
const recreateInside = [
  ...["files-smb", "web-http", "web-ssh", "files", "web"].map((it) => `remove container ${it}`),
  "create network inside",
  ...onInside.filter((it) => it !== "inside").map((it) => `create container ${it}`),
];

/** Stops all on the LAN `inside`, and removes its network. */
async function removeInsideOfStopped({ sandbox, name }: ApplySetup): Promise<void> {
  for (const it of onInside.toReversed()) if (it !== "inside") await sandbox.kill(name(it));
  await sandbox.docker.getNetwork(name("inside")).remove();
}

/** All of them. */
export const damages: readonly Damage[] = [
  {
    name: "a service that was removed",
    make: ({ sandbox, name }) => sandbox.remove(name("web-ssh")),
    drift: ["missing web-ssh"],
    recreated: ["web-ssh"],
    steps: ["create container web-ssh"],
  },
  {
    name: "a service that was killed",
    make: ({ sandbox, name }) => sandbox.kill(name("files-smb")),
    drift: ["stopped files-smb: exited"],
    recreated: [],
    steps: ["start container files-smb"],
  },
  {
    name: "a service that is paused",
    make: ({ sandbox, name }) => sandbox.docker.getContainer(name("files-smb")).pause(),
    drift: ["unhealthy files-smb: paused"],
    recreated: [],
    steps: ["unpause container files-smb"],
  },
  {
    name: "a base that is paused",
    make: ({ sandbox, name }) => sandbox.docker.getContainer(name("files")).pause(),
    drift: ["unhealthy files: paused"],
    recreated: [],
    steps: ["unpause container files"],
  },
  {
    name: "a base that was removed, with its services",
    make: ({ sandbox, name }) => sandbox.remove(name("files")),
    drift: ["missing files"],
    recreated: ["files", "files-smb"],
    steps: ["remove container files-smb", "create container files", "create container files-smb"],
  },
  {
    name: "a base that was stopped, with its services",
    make: ({ sandbox, name }) => sandbox.kill(name("files")),
    drift: ["stopped files: exited"],
    recreated: [],
    steps: ["start container files", "restart container files-smb"],
  },
  {
    name: "a base that was stopped and a service that is paused",
    make: async ({ sandbox, name }) => {
      await sandbox.docker.getContainer(name("files-smb")).pause();
      await sandbox.kill(name("files"));
    },
    drift: ["stopped files: exited", "unhealthy files-smb: paused"],
    recreated: ["files-smb"],
    steps: ["remove container files-smb", "start container files", "create container files-smb"],
  },
  {
    name: "a decky that was stopped",
    make: async ({ sandbox, name }) => {
      await sandbox.kill(name("files-smb"));
      await sandbox.kill(name("files"));
    },
    drift: ["stopped files: exited", "stopped files-smb: exited"],
    recreated: [],
    steps: ["start container files", "start container files-smb"],
  },
  {
    name: "a base that was cut off its network",
    make: ({ sandbox, name }) => sandbox.disconnect(name("inside"), name("files")),
    drift: ["changed files: not attached to inside"],
    recreated: ["files", "files-smb"],
    steps: [
      "remove container files-smb",
      "remove container files",
      "create container files",
      "create container files-smb",
    ],
  },
  {
    name: "a base that was attached to one network more",
    make: ({ sandbox, name }) =>
      sandbox.connect(name("inside"), name("front"), sandbox.address(1, 99)),
    drift: ["changed front: attached to inside"],
    recreated: ["front"],
    steps: ["remove container front", "create container front"],
  },
  {
    name: "a base at another address",
    make: async ({ sandbox, name }) => {
      await sandbox.disconnect(name("dmz"), name("front"));
      await sandbox.connect(name("dmz"), name("front"), sandbox.address(0, 99));
    },
    drift: ["changed front: address 10.x.0.99 on dmz, not 10.x.0.4"],
    recreated: ["front"],
    steps: ["remove container front", "create container front"],
  },
  {
    name: "a base that was restarted, with its services",
    make: async ({ sandbox, name }) => {
      const base = sandbox.docker.getContainer(name("web"));
      await until(async () => {
        const services = (await sandbox.containers()).filter(({ Names: [it] }) =>
          it!.startsWith(`/${name("web-")}`)
        );
        return services.every(({ Status }) => /^Up ([3-9]|\d\d|About)/.test(Status));
      }, { what: "services that have been up for a while" });
      await base.restart({ t: 0 });
      // "Less than a second" means nothing.
      await until(async () => {
        const [{ Status = "" } = {}] = (await sandbox.containers())
          .filter(({ Names: [it] }) => it === `/${name("web")}`);
        return /^Up \d/.test(Status);
      }, { what: "a base that has been up for a second" });
    },
    drift: [
      "changed web-http: runs longer than web, whose network it shared",
      "changed web-ssh: runs longer than web, whose network it shared",
    ],
    recreated: [],
    steps: ["restart container web-http", "restart container web-ssh"],
  },
  {
    name: "a network that was removed",
    make: async ({ sandbox, name }) => {
      for (const decky of ["web", "files"]) {
        await sandbox.disconnect(name("inside"), name(decky));
      }
      await sandbox.docker.getNetwork(name("inside")).remove();
    },
    drift: [
      "missing inside",
      "changed files: not attached to inside",
      "changed web: not attached to inside",
    ],
    recreated: onInside,
    steps: recreateInside,
  },
  {
    name: "a network that was removed while its decky was stopped",
    make: removeInsideOfStopped,
    drift: ["missing inside", ...stoppedInside],
    recreated: onInside,
    steps: recreateInside,
  },
  {
    name: "a stopped decky whose network another program has recreated",
    make: async (setup) => {
      await removeInsideOfStopped(setup);
      const { sandbox, name, labels } = setup;
      await sandbox.makeNetwork(name("inside"), {
        subnet: sandbox.subnet(1),
        internal: true,
        labels,
      });
    },
    drift: stoppedInside,
    recreated: onInside,
    // That is known only when they cannot be started.
    steps: onInside.filter((it) => it !== "inside")
      .map((it) => `${it.includes("-") ? "create" : "start"} container ${it}`),
  },
  {
    name: "a network that another program has recreated elsewhere",
    make: async (setup) => {
      await removeInsideOfStopped(setup);
      const { sandbox, name, labels } = setup;
      await sandbox.makeNetwork(name("inside"), { subnet: sandbox.subnet(50), labels });
    },
    drift: [...stoppedInside, "changed inside: subnet 10.x.50.0/24, not 10.x.1.0/24"],
    recreated: onInside,
    steps: ["remove network inside", ...recreateInside],
  },
];
