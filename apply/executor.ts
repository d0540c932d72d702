import { Engine } from "../docker/engine.ts";
import { EngineError } from "../docker/http.ts";
import { findSocket } from "../docker/observe.ts";
import type { Changes, ContainerCreation, ContainerRepair } from "../topology/changes.ts";
import { isService } from "../topology/inventory.ts";
import type { PlannedContainer } from "../topology/plan.ts";

/** One thing has been done. */
export interface ProgressEvent {
  /** How many are done, this one included. */
  readonly done: number;
  readonly total: number;
  /** What it was: `create network decnet_t_…`. */
  readonly text: string;
}

/** How changes are carried out. */
interface ExecutorOptions {
  /** Image name → id. */
  readonly imageIds: ReadonlyMap<string, string | null>;
  /** Aborted by the first failure, and by whoever wants to stop; then nothing more is begun. */
  readonly stop: AbortController;
  readonly onProgress: (step: ProgressEvent) => void;
}

/** Carries changes out on an engine; of use once. */
class ChangeExecutor {
  readonly #changes: Changes;
  readonly #engine: Engine;
  readonly #options: ExecutorOptions;
  #done = 0;

  constructor(changes: Changes, engine: Engine, options: ExecutorOptions) {
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
    const { stop, onProgress } = this.#options;
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
    onProgress({ done: ++this.#done, total: this.total, text });
  }
}

/** Waits for all of them, also after a failure, so that nothing goes on unseen. */
async function all(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find(({ status }) => status === "rejected");
  if (failed) throw (failed as PromiseRejectedResult).reason;
}

/** How long a call that is under way may still take when the process is asked to stop. */
const graceMs = 1_200;
/** How often the engine is looked at and changed until there is nothing left to change. */
const maximumRounds = 4;
/** Between two rounds when something was not as it had been seen, in milliseconds. */
const pauseMs = 500;

/** How one apply or teardown is run. */
export interface RunOptions {
  /** Stops it between two calls; a later apply or teardown does the rest. */
  readonly signal: AbortSignal;
  /** Aborted when nobody waits for it any more: then it is not begun, but what has begun goes on. */
  readonly gone?: AbortSignal | undefined;
  /** Told what has been done. */
  readonly onProgress?: ((step: ProgressEvent) => void) | undefined;
  /** Told who else is at it; without this a busy host is a refusal. */
  readonly onWait?: ((holder: string) => void) | undefined;
}

/** Carries changes out; `imageIds` has the id of each image that they need. */
type CarryOut = (
  changes: Changes,
  imageIds: ReadonlyMap<string, string | null>,
) => Promise<void>;

/**
 * Lets `turn` look at the engine and change it, again until there is nothing to change: an agent that
 * was killed leaves calls behind which the engine still carries out, and what is made or removed by
 * them appears only after the next one has looked. Answers how many changes it took.
 */
export async function reconcile(
  sockets: readonly string[],
  { signal, onProgress = () => {} }: RunOptions,
  turn: (engine: Engine, carryOut: CarryOut) => Promise<void>,
): Promise<number> {
  let total = 0;
  for (let round = 1;; round++) {
    let isSettled = true;
    const stop = new AbortController();
    try {
      await withEngine(sockets, stop.signal, async (engine) => {
        const carryOut: CarryOut = async (changes, imageIds) => {
          // What falls over as soon as it is started shows as drift; it is not started for ever.
          isSettled &&= [...changes.networks, ...changes.containers].every(({ action }) =>
            action !== "create" && action !== "remove"
          );
          const onEach = (step: ProgressEvent) => {
            total++;
            onProgress(step);
          };
          await new ChangeExecutor(changes, engine, { imageIds, stop, onProgress: onEach }).run();
        };
        await untilStopped(turn(engine, carryOut), signal, stop);
      });
      if (isSettled) return total;
      if (round === maximumRounds) {
        throw new Error(
          `Docker does not stay as it is made: it was changed ${round} times; find out what else changes it`,
        );
      }
    } catch (error) {
      if (round === maximumRounds || signal.aborted || !wasOutdated(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}

/** Lets `work` speak to the engine, until `signal` is aborted. */
export async function withEngine<T>(
  sockets: readonly string[],
  signal: AbortSignal,
  work: (engine: Engine) => Promise<T>,
): Promise<T> {
  const engine = new Engine(findSocket(sockets), signal);
  try {
    return await work(engine);
  } finally {
    engine.close();
  }
}

/** Whether a step failed because something had gone, or come, since it was planned. */
function wasOutdated(error: unknown): boolean {
  const { cause } = error as Error;
  return cause instanceof EngineError && (cause.status === 404 || cause.status === 409);
}

/**
 * Waits for `work`. Once `signal` is aborted no further call is begun, and the one under way is
 * waited for, but not long: whoever stops a service does not wait for ever.
 */
async function untilStopped(
  work: Promise<void>,
  signal: AbortSignal,
  stop: AbortController,
): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const { promise: tooLong, reject } = Promise.withResolvers<never>();
  const onAbort = () => {
    stop.abort(new Error("interrupted, as the agent was stopped; apply it again or tear it down"));
    timer = setTimeout(() => reject(stop.signal.reason), graceMs);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    await Promise.race([work, tooLong]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
