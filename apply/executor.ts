import type { Engine } from "../docker/engine.ts";
import { EngineError } from "../docker/errors.ts";
import { messageOf } from "../host/log.ts";
import {
  type Changes,
  type ContainerChange,
  type ContainerCreation,
  type ContainerRepair,
  createdBy,
  describeSharing,
  type ImageIds,
  removedBy,
} from "../topology/changes.ts";
import { type ContainerInfo, isService } from "../topology/inventory.ts";
import type { PlannedContainer } from "../topology/plan.ts";
import { describeFailure } from "./host_ports.ts";

/** One change that has been made. */
export interface ProgressEvent {
  /** How many changes are done, this one included. */
  readonly done: number;
  readonly total: number;
  /** What was done: `create network decnet_t_…`. */
  readonly text: string;
}

/** Makes changes in an engine, and counts them. */
export class ChangeExecutor {
  /** How many changes have been made. */
  changeCount = 0;
  /** Whether all changes left the same objects: nothing was created or removed. */
  isSettled = true;
  /** The error of the first step that failed, if the engine has refused it. */
  refusal: Error | null = null;
  #imageIds: ImageIds = new Map();
  #done = 0;
  #total = 0;

  /** `stop` is aborted by the first failure, or when the process stops: no further call is sent then. */
  constructor(
    readonly engine: Engine,
    readonly stop: AbortController,
    readonly onProgress: ((event: ProgressEvent) => void) | undefined,
  ) {}

  /**
   * Removes services, bases and networks, then creates networks, bases and services, in parallel where
   * possible. Calls `checkNetworks` after networks, also if one could not be made. Throws the first failure.
   */
  async execute(
    { networks, containers }: Changes,
    imageIds: ImageIds,
    checkNetworks?: () => Promise<void>,
  ): Promise<void> {
    const { engine } = this;
    this.#imageIds = imageIds;
    this.#done = 0;
    this.#total = networks.length + containers.length;
    // A start is not counted: a container that exits after each start would be started for ever.
    this.isSettled &&= [...networks, ...containers].every(({ action }) =>
      action !== "create" && action !== "remove"
    );
    await this.checkGuests(containers);
    const removed = removedBy(containers);
    const [services, bases] = [removed.filter(isService), removed.filter((it) => !isService(it))];
    await waitForAll(services.map((it) => this.#removeContainer(it)));
    await waitForAll(bases.map((it) => this.#removeContainer(it)));
    for (const { name, id } of removedBy(networks)) {
      await this.#runStep(`remove network ${name}`, () => engine.removeNetwork(id));
    }
    const creations = createdBy(networks).map(({ name, request }) =>
      this.#runStep(`create network ${name}`, () => engine.createNetwork(request))
    );
    try {
      await waitForAll(creations);
    } finally {
      await checkNetworks?.();
    }
    const made = containers.filter((it) => it.action !== "remove");
    const deckies = Map.groupBy(made, ({ planned }) => planned.decky);
    await waitForAll([...deckies.values()].map((it) => this.#applyDecky(it)));
  }

  /** Throws `Error` for containers that share a removed one's network: Podman lists no network modes. */
  async checkGuests(containers: readonly ContainerChange[]): Promise<void> {
    const removed = removedBy(containers);
    const ids = new Set(removed.map(({ id }) => id));
    const hosts = removed.filter((it) => !isService(it) && it.networkMode === "");
    const guests = await Promise.all(hosts.map(async ({ id, name }) => {
      const sharers = await this.engine.listSharing(id);
      return sharers.filter((it) => !ids.has(it.id)).map((it) => describeSharing(it, name));
    }));
    if (guests.flat().length > 0) throw new Error(guests.flat().join("; "));
  }

  #removeContainer(actual: ContainerInfo): Promise<void> {
    const step = `remove container ${actual.name}`;
    return this.#runStep(step, () => this.engine.removeContainer(actual));
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
        await this.engine.change(planned, change.actual.id, action);
      } catch (error) {
        // The engine refuses to start a container whose network or base is gone: recreate it.
        if (!isRefusal(error) || action === "unpause") throw error;
        await onRecreate();
        await this.#removeOld(change);
        await this.#create(planned);
      }
    };
    const describe = (cause: unknown) => describeFailure(planned, cause);
    return this.#runStep(`${action} container ${planned.name}`, run, describe);
  }

  async #create(planned: PlannedContainer): Promise<void> {
    const { Image } = planned.request;
    const imageId = this.#imageIds.get(Image);
    if (!imageId) throw new Error(`image ${Image} is not on this host`);
    const id = await this.engine.createContainer(planned, imageId);
    await this.engine.change(planned, id, "start");
  }

  async #removeOld(change: ContainerCreation | ContainerRepair): Promise<void> {
    if (change.action !== "create") await this.engine.removeContainer(change.actual);
  }

  async #runStep(
    step: string,
    run: () => Promise<unknown>,
    describe: (cause: unknown) => string = messageOf,
  ): Promise<void> {
    const { signal } = this.stop;
    try {
      signal.throwIfAborted();
      await run();
    } catch (cause) {
      const error = new Error(`Cannot ${step}: ${describe(cause)}`, { cause });
      // Only the first abort sets the reason.
      this.stop.abort(error);
      if (signal.reason === error && isRefusal(cause)) this.refusal = error;
      throw signal.reason;
    }
    this.changeCount++;
    this.#done++;
    this.onProgress?.({ done: this.#done, total: this.#total, text: step });
  }
}

/** Whether the engine has answered with an error; after no answer at all, an apply fails. */
function isRefusal(error: unknown): boolean {
  return error instanceof EngineError && error.status !== null;
}

/** Waits until all have ended, so that no call is left running, then throws the first failure. */
async function waitForAll(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find(({ status }) => status === "rejected");
  if (failed) throw (failed as PromiseRejectedResult).reason;
}
