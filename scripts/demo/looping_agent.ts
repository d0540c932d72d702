import { Agent, type Heartbeat } from "../../agent/heartbeat.ts";
import { runLoop } from "../../agent/loop.ts";
import { Wakeup } from "../../agent/schedule.ts";
import { HostWatcher } from "../../agent/watcher.ts";
import { ApiServer } from "../../api/server.ts";
import { TopologyService } from "../../api/topology_service.ts";
import { Applier } from "../../apply/applier.ts";
import type { ProgressEvent } from "../../apply/executor.ts";
import type { Configuration } from "../../cli/config.ts";
import { agentVersion } from "../../cli/options.ts";
import { createLog } from "../../host/log.ts";
import { CertificateFolder } from "../../master/certificates.ts";
import { Arrivals } from "./arrivals.ts";
import type { Narrator } from "./narrator.ts";

/** The contract: the agent stops within this time. */
const stopWithinMs = 2_000;
/** An apply that is under way when all is over may end before that: what it made is known then. */
const settleWithinMs = 30_000;

/** How fast the agent beats. */
export interface Pace {
  /** From beat to beat, before the jitter, of which the demo takes the least: a fifth less. */
  readonly intervalMs: number;
  /** The least between two beats out of turn. */
  readonly minEarlyGapMs?: number;
}

/** What the agent is told from outside. */
interface LoopingOptions {
  readonly pace: Pace;
  readonly narrator: Narrator;
  /** Ends all waiting. */
  readonly signal: AbortSignal;
  /** Takes what ends the loop before it is stopped. */
  readonly onError: (error: unknown) => void;
}

/** The agent's loop, the real one, with its API, and how each of its beats ended. */
export class LoopingAgent {
  /** Takes each step of an apply or a teardown. */
  onProgress: (step: ProgressEvent) => void = () => {};
  readonly #agent: Agent;
  readonly #configuration: Configuration;
  readonly #options: LoopingOptions;
  readonly #ended: Arrivals<Heartbeat>;
  readonly #stopping = new AbortController();
  #service: TopologyService | null = null;
  #server: ApiServer | null = null;
  #loop: Promise<void> = Promise.resolve();
  #delivered = 0;
  #last: Heartbeat | null = null;

  constructor(configuration: Configuration, options: LoopingOptions) {
    this.#agent = new Agent({ ...configuration.agent, agentVersion });
    this.#configuration = configuration;
    this.#options = options;
    this.#ended = new Arrivals(options.signal, ({ delivery }) => delivery.result);
  }

  /** Starts the loop, and the API where it is configured; what they log is told. */
  async start(): Promise<void> {
    const { narrator, pace, onError } = this.#options;
    const { agent: options, supersede, listen } = this.#configuration;
    const { signal } = this.#stopping;
    const log = createLog((line) => narrator.say("agent", line.trimEnd()));
    const wakeup = new Wakeup();
    const applier = new ToldApplier({ ...options, supersede }, (step) => this.onProgress(step));
    const service = new TopologyService({
      ...options,
      agent: this.#agent,
      applier,
      wakeup,
      log,
      signal,
    });
    this.#service = service;
    if (listen) {
      const folder = new CertificateFolder(options.agentDirectory);
      const certificates = () => folder.load();
      // Any port that is free will do here.
      this.#server = await ApiServer.start(service, { ...listen, port: 0, certificates, log });
      log("info", "listening", { address: `${listen.host}:${this.#server.port}` });
    }
    const watch = new HostWatcher({ ...options, log, onChange: () => wakeup.requestCheck() });
    const onHeartbeat = (heartbeat: Heartbeat) => {
      watch.note(heartbeat.snapshot);
      this.#last = heartbeat;
      if (heartbeat.delivery.result === "delivered") this.#delivered++;
      this.#ended.add(heartbeat);
    };
    // Without chance in it, the first beat comes at once and a failed one is repeated after 5 s.
    const random = () => 0;
    const isBusy = () => service.isBusy;
    const loop = runLoop(this.#agent, signal, {
      ...pace,
      log,
      wakeup,
      isBusy,
      onHeartbeat,
      random,
    });
    this.#loop = Promise.all([loop, watch.run(signal)]).then(() => {
      if (!signal.aborted) throw new Error("the agent's loop ended by itself");
    });
    this.#loop.catch(onError);
  }

  /** Where the API listens, once it does. Throws `Error` when it does not. */
  get port(): number {
    if (!this.#server) throw new Error("the agent does not listen");
    return this.#server.port;
  }

  /** The last beat, with what the agent keeps to itself. */
  get last(): Heartbeat | null {
    return this.#last;
  }

  /** Waits until the agent has had, and logged, the answers to so many beats in all. */
  async hasDelivered(count: number): Promise<void> {
    if (this.#delivered >= count) return;
    await this.#ended.next("the agent to see its beat accepted", () => this.#delivered >= count);
  }

  /** Waits for a beat that misses the master; answers when that was, as `performance.now()`. */
  async hasFailed(): Promise<number> {
    const isLost = ({ delivery }: Heartbeat) => delivery.result === "unreachable";
    await this.#ended.next("the agent to miss its master", isLost);
    return performance.now();
  }

  /** Stops the loop, and closes what the agent has open. Throws `Error` when it takes too long. */
  async stop(): Promise<void> {
    // Of calls that are cut off nobody knows what the engine makes of them, and when.
    if (this.#service) await within(settleWithinMs, this.#service.settled()).catch(() => {});
    this.#stopping.abort();
    // What the loop may have ended with, `onError` has had.
    const stopped = [this.#loop.catch(() => {}), this.#server?.stop(), this.#service?.settled()];
    this.#server = null;
    try {
      await within(stopWithinMs, Promise.all(stopped));
    } finally {
      this.#agent.close();
    }
  }
}

/** The agent's own, whose steps are told as the command line tells them. */
class ToldApplier extends Applier {
  readonly #onProgress: (step: ProgressEvent) => void;

  constructor(
    options: ConstructorParameters<typeof Applier>[0],
    onProgress: (step: ProgressEvent) => void,
  ) {
    super(options);
    this.#onProgress = onProgress;
  }

  override apply(...[request, options]: Parameters<Applier["apply"]>) {
    return super.apply(request, { ...options, onProgress: this.#onProgress });
  }

  override teardown(...[topologyId, options]: Parameters<Applier["teardown"]>) {
    return super.teardown(topologyId, { ...options, onProgress: this.#onProgress });
  }
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer;
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`the agent did not stop within ${ms / 1000} s`);
    timer = setTimeout(() => reject(error), ms);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
