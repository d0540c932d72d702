import { type Engine, EngineError } from "../docker/engine.ts";
import { isService, type PlannedContainer } from "../topology/mod.ts";
import {
  type Changes,
  type ContainerCreation,
  type ContainerRepair,
} from "../topology/changes/mod.ts";

/** One thing has been done. */
export interface Step {
  /** How many are done, this one included. */
  readonly done: number;
  readonly total: number;
  /** What it was: `create network decnet_t_…`. */
  readonly text: string;
}

/** How changes are carried out. */
export interface StepOptions {
  /** Image name → id. */
  readonly imageIds: ReadonlyMap<string, string | null>;
  /** Aborted by the first failure, and by whoever wants to stop; then nothing more is begun. */
  readonly stop: AbortController;
  readonly onStep: (step: Step) => void;
}

/** Carries changes out on an engine; of use once. */
export class Steps {
  readonly #changes: Changes;
  readonly #engine: Engine;
  readonly #options: StepOptions;
  #done = 0;

  constructor(changes: Changes, engine: Engine, options: StepOptions) {
    this.#changes = changes;
    this.#engine = engine;
    this.#options = options;
  }

  /** How many there are. */
  get total(): number {
    return this.#changes.networks.length + this.#changes.containers.length;
  }

  /**
   * First goes what is to go: services, bases, networks. Then come networks, bases and services. What
   * does not depend on each other is done side by side. Throws the first failure.
   */
  async run(): Promise<void> {
    await this.#remove();
    await this.#createNetworks();
    const made = this.#changes.containers.filter((it) => it.action !== "remove");
    const deckies = Map.groupBy(made, ({ planned }) => planned.decky);
    await all([...deckies.values()].map((containers) => this.#makeDecky(containers)));
  }

  async #remove(): Promise<void> {
    const containers = this.#changes.containers.filter((it) => it.action === "remove");
    const [services = [], bases = []] = [true, false].map((wanted) =>
      containers.filter(({ fact }) => isService(fact) === wanted)
    );
    for (const turn of [services, bases]) {
      await all(
        turn.map(({ fact }) =>
          this.#step(`remove container ${fact.name}`, () => this.#engine.removeContainer(fact.id))
        ),
      );
    }
    for (const change of this.#changes.networks) {
      if (change.action !== "remove") continue;
      const { name, id } = change.fact;
      await this.#step(`remove network ${name}`, () => this.#engine.removeNetwork(id));
    }
  }

  async #createNetworks(): Promise<void> {
    const networks = this.#changes.networks.filter((it) => it.action === "create");
    await all(
      networks.map(({ planned: { name, request } }) =>
        this.#step(`create network ${name}`, () => this.#engine.createNetwork(request))
      ),
    );
  }

  async #makeDecky(containers: readonly (ContainerCreation | ContainerRepair)[]): Promise<void> {
    const base = containers.find(({ planned }) => planned.base === null);
    const services = containers.filter((it) => it !== base);
    let isBaseNew = false;
    if (base) {
      await this.#make(base, async () => {
        // Its services share a network that goes with it.
        isBaseNew = true;
        await all(services.map((it) => this.#removeOld(it)));
      });
    }
    await all(services.map((it) => this.#make(isBaseNew ? { ...it, action: "create" } : it)));
  }

  #make(
    change: ContainerCreation | ContainerRepair,
    onRemake = () => Promise.resolve(),
  ): Promise<void> {
    const { action, planned } = change;
    return this.#step(`${action} container ${planned.name}`, async () => {
      if (action === "create") return await this.#create(planned);
      try {
        await this.#engine.change(change.fact.id, action);
      } catch (error) {
        // What cannot be started any more, as its network or its base has gone, is made anew.
        if (!(error instanceof EngineError) || action === "unpause") throw error;
        await onRemake();
        await this.#removeOld(change);
        await this.#create(planned);
      }
    });
  }

  async #create({ name, request }: PlannedContainer): Promise<void> {
    const imageId = this.#options.imageIds.get(request.Image);
    if (!imageId) throw new Error(`image ${request.Image} is not on this host`);
    const id = await this.#engine.createContainer(name, request, imageId);
    await this.#engine.change(id, "start");
  }

  async #removeOld(change: ContainerCreation | ContainerRepair): Promise<void> {
    if ("fact" in change) await this.#engine.removeContainer(change.fact.id);
  }

  async #step(text: string, work: () => Promise<unknown>): Promise<void> {
    const { stop, onStep } = this.#options;
    try {
      stop.signal.throwIfAborted();
      await work();
    } catch (error) {
      if (!stop.signal.aborted) {
        const message = error instanceof Error ? error.message : String(error);
        stop.abort(new Error(`Cannot ${text}: ${message}`, { cause: error }));
      }
      throw stop.signal.reason;
    }
    onStep({ done: ++this.#done, total: this.total, text });
  }
}

/** Waits for all of them, also after a failure, so that nothing goes on unseen. */
async function all(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find(({ status }) => status === "rejected");
  if (failed) throw (failed as PromiseRejectedResult).reason;
}
