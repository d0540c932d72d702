import type { Engine } from "../docker/engine.ts";
import { EngineError } from "../docker/errors.ts";
import {
  type Changes,
  type ContainerCreation,
  type ContainerRepair,
  describeGuest,
  type HostConstraints,
  sharing,
} from "../topology/changes.ts";
import { type ContainerInfo, isService } from "../topology/inventory.ts";
import { engineRequest, type PlannedContainer } from "../topology/plan.ts";
import { messageOf } from "./apply_error.ts";
import { describeFailure } from "./host_ports.ts";

/** Image name → id, or null when the host does not have the image. */
export type ImageIds = HostConstraints["imageIds"];
/** One change that has been made. */
export interface ProgressEvent {
  /** How many changes are done, this one included. */
  readonly done: number;
  readonly total: number;
  /** What was done: `create network decnet_t_…`. */
  readonly text: string;
}

/** Object, such as `container decnet_t_…` → the actions that are left to do for it. */
type Work = Map<string, readonly string[]>;

/** The first step that failed, and the work that was left then, this step included. */
export interface FailedStep {
  readonly error: Error;
  readonly object: string;
  readonly left: Work;
}

/** Makes changes in an engine, and counts them. */
export class ChangeExecutor {
  readonly engine: Engine;
  /** How many changes have been made. */
  changeCount = 0;
  /** Whether all changes left the same objects: nothing was created or removed. */
  isSettled = true;
  /** Null as long as no step has failed. */
  failed: FailedStep | null = null;
  /** Aborted by the first failure, or when the process stops; then no further call is sent. */
  readonly #stop: AbortController;
  readonly #onProgress: ((event: ProgressEvent) => void) | undefined;
  /** The failure of the round before this one; null once it is known that the world has changed. */
  #lastFailed: FailedStep | null;
  #imageIds: ImageIds = new Map();
  #left: Work = new Map();
  #done = 0;
  #total = 0;

  constructor(
    engine: Engine,
    stop: AbortController,
    { onProgress, lastFailed = null }: {
      onProgress: ((event: ProgressEvent) => void) | undefined;
      lastFailed?: FailedStep | null;
    },
  ) {
    this.engine = engine;
    this.#stop = stop;
    this.#onProgress = onProgress;
    this.#lastFailed = lastFailed;
  }

  /**
   * Removes services, bases and networks, then creates networks, bases and services. Independent
   * changes run in parallel. `imageIds` contains every image that they need. Throws the first
   * failure. `checkNetworks` is called before a container is created, also when a network could not be.
   * Throws the last round's failure, and changes nothing, if all is as that round has left it.
   */
  async execute(
    { networks, containers }: Changes,
    imageIds: ImageIds,
    checkNetworks?: () => Promise<void>,
  ): Promise<void> {
    const { engine } = this;
    const work = workOf({ networks, containers });
    if (this.#lastFailed && isUnchanged(this.#lastFailed, work)) throw this.#lastFailed.error;
    this.#lastFailed = null;
    this.#left = work;
    this.#imageIds = imageIds;
    this.#done = 0;
    this.#total = networks.length + containers.length;
    // A start is not counted: a container that exits after each start would be started for ever.
    this.isSettled &&= [...networks, ...containers].every(({ action }) =>
      action !== "create" && action !== "remove"
    );
    const removed = containers.filter((it) => it.action === "remove").map(({ actual }) => actual);
    const [services, bases] = [removed.filter(isService), removed.filter((it) => !isService(it))];
    await this.#checkGuests(bases, removed);
    await waitForAll(services.map((it) => this.#removeContainer(it)));
    await waitForAll(bases.map((it) => this.#removeContainer(it)));
    for (const { actual: { name, id } } of networks.filter((it) => it.action === "remove")) {
      await this.#runStep("remove", `network ${name}`, () => engine.removeNetwork(id));
    }
    const created = networks.filter((it) => it.action === "create");
    try {
      await waitForAll(
        created.map(({ planned: { name, request } }) =>
          this.#runStep("create", `network ${name}`, () => engine.createNetwork(request))
        ),
      );
    } finally {
      await checkNetworks?.();
    }
    const made = containers.filter((it) => it.action !== "remove");
    const deckies = Map.groupBy(made, ({ planned }) => planned.decky);
    await waitForAll([...deckies.values()].map((it) => this.#applyDecky(it)));
  }

  /**
   * Podman lists no network modes, and removes no container that another one depends on, running or
   * not. Throws `Error` with the names of such containers that stay.
   */
  async #checkGuests(
    bases: readonly ContainerInfo[],
    removed: readonly ContainerInfo[],
  ): Promise<void> {
    const ids = new Set(removed.map(({ id }) => id));
    const hosts = bases.filter(({ networkMode }) => networkMode === "");
    const guests = await Promise.all(hosts.map(async ({ id, name }) => {
      const sharers = await this.engine.listSharing(id);
      return sharers.filter((it) => !ids.has(it.id)).map((it) => describeGuest(it, sharing(name)));
    }));
    if (guests.flat().length > 0) throw new Error(guests.flat().join("; "));
  }

  #removeContainer(actual: ContainerInfo): Promise<void> {
    const { engine } = this;
    return this.#runStep(
      "remove",
      `container ${actual.name}`,
      () => engine.removeContainer(actual),
    );
  }

  async #applyDecky(containers: readonly (ContainerCreation | ContainerRepair)[]): Promise<void> {
    const base = containers.find(({ planned }) => planned.base === null);
    const services = containers.filter((it) => it !== base);
    let isBaseRecreated = false;
    // Services run in the network namespace of their base, so they are recreated with it.
    const onRecreateBase = async () => {
      isBaseRecreated = true;
      await waitForAll(services.map((it) => this.#removeOld(it)));
    };
    if (base) await this.#createOrRepair(base, onRecreateBase);
    await waitForAll(
      services.map((it) =>
        this.#createOrRepair(
          isBaseRecreated ? { action: "create", planned: it.planned, reason: it.reason } : it,
        )
      ),
    );
  }

  #createOrRepair(
    change: ContainerCreation | ContainerRepair,
    onRecreate = () => Promise.resolve(),
  ): Promise<void> {
    const { action, planned } = change;
    const run = async () => {
      if (action === "create") return await this.#create(planned);
      try {
        await this.engine.change(change.actual.id, action);
      } catch (error) {
        // The engine refuses to start a container whose network or base is gone: recreate it.
        const isRefused = error instanceof EngineError && error.status !== null;
        if (!isRefused || action === "unpause") throw error;
        await onRecreate();
        await this.#removeOld(change);
        await this.#create(planned);
      }
    };
    const describe = (cause: unknown) => describeFailure(planned, cause);
    return this.#runStep(action, `container ${planned.name}`, run, describe);
  }

  async #create(planned: PlannedContainer): Promise<void> {
    const { name, request } = planned;
    const imageId = this.#imageIds.get(request.Image);
    if (!imageId) throw new Error(`image ${request.Image} is not on this host`);
    const id = await this.engine.createContainer(name, engineRequest(planned), imageId);
    await this.engine.change(id, "start");
  }

  async #removeOld(change: ContainerCreation | ContainerRepair): Promise<void> {
    if (change.action !== "create") await this.engine.removeContainer(change.actual);
  }

  async #runStep(
    action: string,
    object: string,
    run: () => Promise<unknown>,
    describe: (cause: unknown) => string = messageOf,
  ): Promise<void> {
    const { signal } = this.#stop;
    const text = `${action} ${object}`;
    try {
      signal.throwIfAborted();
      await run();
    } catch (cause) {
      const error = new Error(`Cannot ${text}: ${describe(cause)}`, { cause });
      // Only the first abort sets the reason.
      this.#stop.abort(error);
      if (signal.reason === error) this.failed = { error, object, left: this.#left };
      throw signal.reason;
    }
    const left = this.#left.get(object)?.slice(1) ?? [];
    if (left.length > 0) this.#left.set(object, left);
    else this.#left.delete(object);
    this.changeCount++;
    this.#done++;
    this.#onProgress?.({ done: this.#done, total: this.#total, text });
  }
}

/** Returns what is to be done, in the order of the steps of each object. */
function workOf({ networks, containers }: Pick<Changes, "networks" | "containers">): Work {
  const work: Work = new Map();
  const add = (type: string, { name }: { readonly name: string }, action: string) =>
    work.set(`${type} ${name}`, [...work.get(`${type} ${name}`) ?? [], action]);
  for (const it of networks) {
    add("network", it.action === "remove" ? it.actual : it.planned, it.action);
  }
  for (const it of containers) {
    add("container", it.action === "remove" ? it.actual : it.planned, it.action);
  }
  return work;
}

/** Whether the same objects are left, and the same is to be done to the one whose step failed. */
function isUnchanged({ object, left }: FailedStep, work: Work): boolean {
  return left.size === work.size && [...work.keys()].every((it) => left.has(it)) &&
    String(left.get(object)) === String(work.get(object));
}

/** Waits until all have ended, so that no call is left running, then throws the first failure. */
async function waitForAll(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find(({ status }) => status === "rejected");
  if (failed) throw (failed as PromiseRejectedResult).reason;
}
