import type { Agent } from "../agent/heartbeat.ts";
import type { Wakeup } from "../agent/schedule.ts";
import type { Applier, ApplyResult } from "../apply/applier.ts";
import { ApplyError } from "../apply/apply_error.ts";
import type { RunOptions } from "../apply/reconcile.ts";
import { isPowerOfTwo, type Log } from "../host/log.ts";
import type { ApiClient, ApiService, JsonObject, SerialQueue } from "./routes.ts";

const maximumLoggedLength = 500;

/** What the service needs. */
interface TopologyServiceOptions {
  readonly agent: Agent;
  readonly applier: Applier;
  /** Asked for a heartbeat when the host's state has changed. */
  readonly wakeup: Wakeup;
  readonly log: Log;
  /** Stops an apply or a teardown. */
  readonly signal: AbortSignal;
}

/** Returns the agent's state to the API, and applies and tears down topologies. */
export class TopologyService implements ApiService {
  readonly #options: TopologyServiceOptions;
  /** Counted since the last change; a master repeats a refused call at each heartbeat. */
  #refusalCount = 0;
  /** The last refusal to let topologies replace each other. */
  #loggedLoop = "";
  readonly #running = new Set<Promise<void>>();
  /** The end of the queue when a self-destruct that still waits had entered it. */
  #selfDestructTurn: Promise<void> | null = null;
  /** Resolves when the self-destruct that was scheduled last has ended. */
  #lastSelfDestruct: Promise<void> = Promise.resolve();

  constructor(options: TopologyServiceOptions) {
    this.#options = options;
  }

  state(signal: AbortSignal): Promise<unknown> {
    return this.#options.agent.state(signal);
  }

  apply(hydrated: JsonObject, versionHash: string, client: ApiClient): Promise<void> {
    const { address: callerAddress, clientSignal } = client;
    const request = { document: hydrated, expectedHash: versionHash, callerAddress };
    const work = (run: RunOptions) => this.#options.applier.apply(request, run);
    return this.#logRefusal(this.#track("applied", work, clientSignal));
  }

  teardown(topologyId: string, clientSignal: AbortSignal): Promise<void> {
    const work = (run: RunOptions) => this.#options.applier.teardown(topologyId, run);
    return this.#logRefusal(this.#track("torn down", work, clientSignal));
  }

  scheduleSelfDestruct(queue: SerialQueue): void {
    if (this.#options.signal.aborted) throw new ApplyError("failed", "the agent is stopping");
    // One that waits at the end of the queue does the same; a flood of calls fills no memory.
    if (queue.last === this.#selfDestructTurn) return;
    const turn = queue.enter(new AbortController().signal);
    const end = this.#selfDestructTurn = queue.last;
    const work = async (run: RunOptions) => {
      const leave = await turn;
      if (this.#selfDestructTurn === end) this.#selfDestructTurn = null;
      return await this.#options.applier.teardownStored(run).finally(leave);
    };
    const running = this.#track("torn down by self-destruct", work);
    this.#lastSelfDestruct = running.catch((error) => {
      this.#options.log("error", shorten(error), { subject: "self-destruct" });
    });
  }

  /** Whether an apply or a teardown is running. */
  get isBusy(): boolean {
    return this.#running.size > 0;
  }

  /** Resolves when no apply and no teardown is running. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running);
    // One that was scheduled meanwhile: its client has the answer, so a reload must not drop it.
    await this.#lastSelfDestruct;
  }

  #track(
    done: string,
    work: (run: RunOptions) => Promise<ApplyResult | null>,
    clientSignal?: AbortSignal,
  ): Promise<void> {
    const run = { signal: this.#options.signal, clientSignal, onWait: () => {} };
    const running = this.#report(done, work(run)).finally(() => {
      this.#running.delete(running);
      // Changes by others were not checked while this was running.
      this.#options.wakeup.requestCheck();
    });
    this.#running.add(running);
    return running;
  }

  /** Logs what was done, and requests a heartbeat if the state has changed. */
  async #report(done: string, running: Promise<ApplyResult | null>): Promise<void> {
    const { wakeup, log } = this.#options;
    try {
      const result = await running;
      if (!result?.changed) return;
      const { topologyId, changes } = result;
      if (changes > 0) log("info", `topology ${done}`, { topology: topologyId, changes });
      this.#refusalCount = 0;
      wakeup.requestSend();
    } catch (error) {
      if (error instanceof ApplyError && error.code === "failed") wakeup.requestSend();
      throw error;
    }
  }

  async #logRefusal(running: Promise<void>): Promise<void> {
    try {
      await running;
    } catch (error) {
      // What the store has recorded is logged with the next heartbeat.
      if (!(error instanceof ApplyError) || error.isRecorded) throw error;
      const text = shorten(error);
      if (error.code === "loop") {
        // It names when it ends, so that the next one has another text.
        if (text !== this.#loggedLoop) this.#options.log("warn", text, { subject: "api" });
        this.#loggedLoop = text;
        throw error;
      }
      const refusals = ++this.#refusalCount;
      if (isPowerOfTwo(refusals)) this.#options.log("warn", text, { subject: "api", refusals });
      throw error;
    }
  }
}

function shorten({ message }: Error): string {
  return message.slice(0, maximumLoggedLength).toWellFormed();
}
