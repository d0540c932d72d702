import type { Agent } from "../agent/heartbeat.ts";
import type { Wakeup } from "../agent/schedule.ts";
import type { Applier, ApplyResult } from "../apply/applier.ts";
import { ApplyError } from "../apply/apply_error.ts";
import type { RunOptions } from "../apply/reconcile.ts";
import { isPowerOfTwo, type Log } from "../host/log.ts";
import type { ApiClient, ApiService, JsonObject } from "./routes.ts";

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
  /** Counted since the last success; a master repeats a refused call at each heartbeat. */
  #refusalCount = 0;
  readonly #running = new Set<Promise<void>>();

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
    return this.#track("applied", clientSignal, work);
  }

  teardown(topologyId: string, clientSignal: AbortSignal): Promise<void> {
    const work = (run: RunOptions) => this.#options.applier.teardown(topologyId, run);
    return this.#track("torn down", clientSignal, work);
  }

  /** Whether an apply or a teardown is running. */
  get isBusy(): boolean {
    return this.#running.size > 0;
  }

  /** Resolves when no apply and no teardown is running. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  #track(
    done: string,
    clientSignal: AbortSignal,
    work: (run: RunOptions) => Promise<ApplyResult>,
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

  /** Logs the result, and requests a heartbeat if the state has changed. */
  async #report(done: string, result: Promise<ApplyResult>): Promise<void> {
    const { wakeup, log } = this.#options;
    try {
      const { topologyId, changes, changed } = await result;
      if (changes > 0) log("info", `topology ${done}`, { topology: topologyId, changes });
      this.#refusalCount = 0;
      if (changed) wakeup.requestSend();
    } catch (error) {
      if (!(error instanceof ApplyError)) throw error;
      // A failure is recorded in the store, and logged with the next heartbeat.
      if (error.code === "failed") wakeup.requestSend();
      else this.#logRefusal(error);
      throw error;
    }
  }

  #logRefusal({ message }: ApplyError): void {
    const refusals = ++this.#refusalCount;
    if (!isPowerOfTwo(refusals)) return;
    const text = message.slice(0, maximumLoggedLength).toWellFormed();
    this.#options.log("warn", text, { subject: "api", refusals });
  }
}
