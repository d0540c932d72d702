import type { Agent } from "../agent/heartbeat.ts";
import type { Wakeup } from "../agent/schedule.ts";
import type { Applier, ApplyResult } from "../apply/applier.ts";
import { ApplyError } from "../apply/apply_error.ts";
import type { RunOptions } from "../apply/reconcile.ts";
import { isPowerOfTwo, type Log, shorten } from "../host/log.ts";
import type { JsonObject } from "../topology/json.ts";
import { type ApiClient, type ApiService, SerialQueue } from "./routes.ts";

const maximumLoggedLength = 500;
/** How many refusals are counted each by itself; those that differ from all of them, together. */
const maximumRefusals = 16;

/** An apply or a teardown; null when there was nothing to do. */
type Work = (run: RunOptions) => Promise<ApplyResult | null>;

/** Returns the agent's state to the API, and applies and tears down topologies. */
export class TopologyService implements ApiService {
  readonly queue = new SerialQueue();
  /** How often each refusal came since the last change: a master repeats a refused call. */
  readonly #refusals = new Map<string, number>();
  #runningCount = 0;
  /** The end of the queue when a self-destruct that still waits had entered it. */
  #selfDestructTurn: Promise<void> | null = null;
  /** Resolves when the self-destruct that was scheduled last has ended. */
  #lastSelfDestruct: Promise<void> = Promise.resolve();

  constructor(
    readonly options: {
      readonly agent: Agent;
      readonly applier: Applier;
      /** Asked for a heartbeat when the host's state has changed. */
      readonly wakeup: Wakeup;
      readonly log: Log;
      /** Stops an apply or a teardown. */
      readonly signal: AbortSignal;
    },
  ) {}

  state(signal: AbortSignal): Promise<unknown> {
    return this.options.agent.state(signal);
  }

  apply(hydrated: JsonObject, versionHash: string, client: ApiClient): Promise<void> {
    const { address: callerAddress, clientSignal } = client;
    const request = { document: hydrated, expectedHash: versionHash, callerAddress };
    return this.#answer("applied", clientSignal, (run) => {
      return this.options.applier.apply(request, run);
    });
  }

  teardown(topologyId: string, clientSignal: AbortSignal): Promise<void> {
    return this.#answer("torn down", clientSignal, (run) => {
      return this.options.applier.teardown(topologyId, run);
    });
  }

  scheduleSelfDestruct(): void {
    const { queue } = this;
    const { signal, applier, log } = this.options;
    if (signal.aborted) throw new ApplyError("failed", "the agent is stopping");
    // One that waits at the end of the queue does the same; a flood of calls fills no memory.
    if (queue.last === this.#selfDestructTurn) return;
    const turn = queue.enter(new AbortController().signal);
    const end = this.#selfDestructTurn = queue.last;
    const work = async (run: RunOptions) => {
      const leave = await turn;
      if (this.#selfDestructTurn === end) this.#selfDestructTurn = null;
      return await applier.teardownStored(run).finally(leave);
    };
    this.#lastSelfDestruct = this.#run("torn down by self-destruct", work).catch((error) => {
      log("error", shorten((error as Error).message, maximumLoggedLength), {
        subject: "self-destruct",
      });
    });
  }

  /** Whether an apply or a teardown is running. */
  get isBusy(): boolean {
    return this.#runningCount > 0;
  }

  /** Resolves when the calls have ended that are in the queue now, and each self-destruct. */
  async settled(): Promise<void> {
    // Those that wait, too: a master sends a teardown once.
    await this.queue.last;
    // One that came meanwhile: its client has the answer, so a reload must not drop it.
    await this.#lastSelfDestruct;
  }

  /** Runs a call; logs why it was refused, unless that is reported elsewhere. */
  async #answer(done: string, clientSignal: AbortSignal, work: Work): Promise<void> {
    try {
      await this.#run(done, work, clientSignal);
    } catch (error) {
      if (error instanceof ApplyError) this.#logRefusal(error);
      throw error;
    }
  }

  /** Logs what was done, and requests a heartbeat if the state has changed. */
  async #run(done: string, work: Work, clientSignal?: AbortSignal): Promise<void> {
    const { signal, wakeup, log } = this.options;
    this.#runningCount++;
    try {
      const result = await work({ signal, clientSignal, onWait: () => {}, log });
      if (!result?.changed) return;
      const { topologyId, changes } = result;
      if (changes > 0) log("info", `topology ${done}`, { topology: topologyId, changes });
      this.#refusals.clear();
      wakeup.requestSend();
    } catch (error) {
      if (error instanceof ApplyError && error.code === "failed") wakeup.requestSend();
      throw error;
    } finally {
      this.#runningCount--;
      // Changes by others were not checked while this was running.
      wakeup.requestCheck();
    }
  }

  #logRefusal(error: ApplyError): void {
    // What the store has recorded is logged with the next heartbeat.
    if (error.details.isRecorded || error.details.isRepeated) return;
    const text = shorten(error.message, maximumLoggedLength);
    const isCounted = this.#refusals.has(text) || this.#refusals.size < maximumRefusals;
    const key = isCounted ? text : "others";
    const refusals = (this.#refusals.get(key) ?? 0) + 1;
    this.#refusals.set(key, refusals);
    if (isPowerOfTwo(refusals)) this.options.log("warn", text, { subject: "api", refusals });
  }
}
