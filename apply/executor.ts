import type { Engine } from "../docker/engine.ts";
import { EngineError } from "../docker/errors.ts";
import type {
  Changes,
  ContainerCreation,
  ContainerRepair,
  Creation,
  HostConstraints,
} from "../topology/changes.ts";
import { type ContainerInfo, isService } from "../topology/inventory.ts";
import { engineRequest, type PlannedContainer, type PlannedNetwork } from "../topology/plan.ts";
import { messageOf } from "./apply_error.ts";
import type { NetworkCheck } from "./host_network.ts";

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

/** Makes changes in an engine, and counts them. */
export class ChangeExecutor {
  readonly engine: Engine;
  /** How many changes have been made. */
  changeCount = 0;
  /** Whether all changes left the same objects: nothing was created or removed. */
  isSettled = true;
  /** Aborted by the first failure, or when the process stops; then no further call is sent. */
  readonly #stop: AbortController;
  readonly #onProgress: ((event: ProgressEvent) => void) | undefined;
  #imageIds: ImageIds = new Map();
  #done = 0;
  #total = 0;

  constructor(
    engine: Engine,
    stop: AbortController,
    onProgress: ((event: ProgressEvent) => void) | undefined,
  ) {
    this.engine = engine;
    this.#stop = stop;
    this.#onProgress = onProgress;
  }

  /**
   * Removes services, bases and networks, then creates networks, bases and services. Independent
   * changes run in parallel. `imageIds` contains every image that they need. Throws the first
   * failure. `checkNetworks` is called with the ids of the networks that were created, also when
   * others could not be, before a container is.
   */
  async execute(
    { networks, containers }: Changes,
    imageIds: ImageIds,
    checkNetworks?: NetworkCheck,
  ): Promise<void> {
    const { engine } = this;
    this.#imageIds = imageIds;
    this.#done = 0;
    this.#total = networks.length + containers.length;
    // A start is not counted: a container that exits after each start would be started for ever.
    this.isSettled &&= [...networks, ...containers].every(({ action }) =>
      action !== "create" && action !== "remove"
    );
    const removed = containers.filter((it) => it.action === "remove").map(({ actual }) => actual);
    await waitForAll(removed.filter(isService).map((it) => this.#removeContainer(it)));
    await waitForAll(removed.filter((it) => !isService(it)).map((it) => this.#removeContainer(it)));
    for (const { actual: { name, id } } of networks.filter((it) => it.action === "remove")) {
      await this.#runStep(`remove network ${name}`, () => engine.removeNetwork(id));
    }
    await this.#createNetworks(networks.filter((it) => it.action === "create"), checkNetworks);
    const made = containers.filter((it) => it.action !== "remove");
    const deckies = Map.groupBy(made, ({ planned }) => planned.decky);
    await waitForAll([...deckies.values()].map((it) => this.#applyDecky(it)));
  }

  async #createNetworks(
    networks: readonly Creation<PlannedNetwork>[],
    checkNetworks?: NetworkCheck,
  ): Promise<void> {
    const ids: string[] = [];
    try {
      await waitForAll(
        networks.map(({ planned: { name, request } }) =>
          this.#runStep(`create network ${name}`, async () => {
            ids.push(await this.engine.createNetwork(request));
          })
        ),
      );
    } finally {
      if (ids.length > 0) await checkNetworks?.(ids);
    }
  }

  #removeContainer({ name, id }: ContainerInfo): Promise<void> {
    return this.#runStep(`remove container ${name}`, () => this.engine.removeContainer(id));
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
    return this.#runStep(`${action} container ${planned.name}`, async () => {
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
    });
  }

  async #create(planned: PlannedContainer): Promise<void> {
    const { name, request } = planned;
    const imageId = this.#imageIds.get(request.Image);
    if (!imageId) throw new Error(`image ${request.Image} is not on this host`);
    const id = await this.engine.createContainer(name, engineRequest(planned), imageId);
    await this.engine.change(id, "start");
  }

  async #removeOld(change: ContainerCreation | ContainerRepair): Promise<void> {
    if (change.action !== "create") await this.engine.removeContainer(change.actual.id);
  }

  async #runStep(text: string, work: () => Promise<unknown>): Promise<void> {
    const { signal } = this.#stop;
    try {
      signal.throwIfAborted();
      await work();
    } catch (cause) {
      // Only the first abort sets the reason.
      this.#stop.abort(new Error(`Cannot ${text}: ${messageOf(cause)}`, { cause }));
      throw signal.reason;
    }
    this.changeCount++;
    this.#done++;
    this.#onProgress?.({ done: this.#done, total: this.#total, text });
  }
}

/** Waits until all have ended, so that no call is left running, then throws the first failure. */
async function waitForAll(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find(({ status }) => status === "rejected");
  if (failed) throw (failed as PromiseRejectedResult).reason;
}
