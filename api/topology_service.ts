import type { Agent } from "../agent/heartbeat.ts";
import type { Wakeup } from "../agent/schedule.ts";
import type { Applier, ApplyResult } from "../apply/applier.ts";
import { ApplyError } from "../apply/apply_error.ts";
import type { RunOptions } from "../apply/reconcile.ts";
import type { Log } from "../host/log.ts";
import type { Json } from "../topology/json.ts";
import type { ApiService } from "./routes.ts";

/** What the service works with. */
interface TopologyServiceOptions {
  readonly agent: Agent;
  readonly applier: Applier;
  /** Rung when there is something to tell the master. */
  readonly wakeup: Wakeup;
  readonly log: Log;
  /** Stops an apply that is under way. */
  readonly signal: AbortSignal;
}

/** Answers the API with the agent's own state, and with applies and teardowns. */
export class TopologyService implements ApiService {
  readonly #options: TopologyServiceOptions;
  /** Refusals since the last success: a master repeats itself at each beat. */
  #refusals = 0;
  readonly #work = new Set<Promise<void>>();

  constructor(options: TopologyServiceOptions) {
    this.#options = options;
  }

  state(signal: AbortSignal): Promise<unknown> {
    return this.#options.agent.state(signal);
  }

  apply(
    hydrated: { readonly [key: string]: Json },
    versionHash: string,
    gone: AbortSignal,
  ): Promise<void> {
    const { applier } = this.#options;
    const request = { document: hydrated, expectedHash: versionHash };
    return this.#track("applied", () => applier.apply(request, this.#run(gone)));
  }

  teardown(topologyId: string, gone: AbortSignal): Promise<void> {
    const { applier } = this.#options;
    return this.#track("torn down", () => applier.teardown(topologyId, this.#run(gone)));
  }

  /** Whether an apply or a teardown is under way. */
  get isBusy(): boolean {
    return this.#work.size > 0;
  }

  /** Resolves when no apply and no teardown is under way. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#work);
  }

  #run(gone: AbortSignal): RunOptions {
    return { signal: this.#options.signal, clientSignal: gone, onWait: () => {} };
  }

  #track(done: string, work: () => Promise<ApplyResult>): Promise<void> {
    const told = this.#tell(done, work).finally(() => {
      this.#work.delete(told);
      // What others have changed meanwhile was passed over.
      this.#options.wakeup.requestCheck();
    });
    this.#work.add(told);
    return told;
  }

  /** Logs what came of it, once, and calls for a beat where that says something new. */
  async #tell(done: string, work: () => Promise<ApplyResult>): Promise<void> {
    const { wakeup, log } = this.#options;
    try {
      const { topologyId, changes, changed } = await work();
      if (changes > 0) log("info", `topology ${done}`, { topology: topologyId, changes });
      this.#refusals = 0;
      if (changed) wakeup.requestSend();
    } catch (error) {
      if (!(error instanceof ApplyError)) throw error;
      // What failed is recorded, and so is logged with the next beat.
      if (error.code === "failed") wakeup.requestSend();
      else {
        const refusals = ++this.#refusals;
        const isPowerOfTwo = (refusals & (refusals - 1)) === 0;
        const message = error.message.slice(0, 500).toWellFormed();
        if (isPowerOfTwo) log("warn", message, { subject: "api", refusals });
      }
      throw error;
    }
  }
}
