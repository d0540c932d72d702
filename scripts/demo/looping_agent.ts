import { Agent, type Beat } from "../../agent/heartbeat.ts";
import { runLoop } from "../../agent/loop.ts";
import { Bell } from "../../agent/schedule.ts";
import { HostWatch } from "../../agent/watcher.ts";
import { ApiServer } from "../../api/server.ts";
import { TopologyService } from "../../api/topology_service.ts";
import { Applier } from "../../apply/applier.ts";
import type { Step } from "../../apply/executor.ts";
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
  readonly extraApartMs?: number;
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
  onStep: (step: Step) => void = () => {};
  readonly #agent: Agent;
  readonly #configuration: Configuration;
  readonly #options: LoopingOptions;
  readonly #ended: Arrivals<Beat>;
  readonly #stopping = new AbortController();
  #service: TopologyService | null = null;
  #server: ApiServer | null = null;
  #loop: Promise<void> = Promise.resolve();
  #delivered = 0;
  #last: Beat | null = null;

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
    const bell = new Bell();
    const applier = new ToldApplier({ ...options, supersede }, (step) => this.onStep(step));
    const service = new TopologyService({
      ...options,
      agent: this.#agent,
      applier,
      bell,
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
    const watch = new HostWatch({ ...options, log, onChange: () => bell.hint() });
    const onBeat = (beat: Beat) => {
      watch.note(beat.stock);
      this.#last = beat;
      if (beat.delivery.result === "delivered") this.#delivered++;
      this.#ended.add(beat);
    };
    // Without chance in it, the first beat comes at once and a failed one is repeated after 5 s.
    const random = () => 0;
    const isBusy = () => service.isBusy;
    const loop = runLoop(this.#agent, signal, { ...pace, log, bell, isBusy, onBeat, random });
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
  get last(): Beat | null {
    return this.#last;
  }

  /** Waits until the agent has had, and logged, the answers to so many beats in all. */
  async hasDelivered(count: number): Promise<void> {
    if (this.#delivered >= count) return;
    await this.#ended.next("the agent to see its beat accepted", () => this.#delivered >= count);
  }

  /** Waits for a beat that misses the master; answers when that was, as `performance.now()`. */
  async hasFailed(): Promise<number> {
    const isLost = ({ delivery }: Beat) => delivery.result === "unreachable";
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
  readonly #onStep: (step: Step) => void;

  constructor(options: ConstructorParameters<typeof Applier>[0], onStep: (step: Step) => void) {
    super(options);
    this.#onStep = onStep;
  }

  override apply(...[candidate, options]: Parameters<Applier["apply"]>) {
    return super.apply(candidate, { ...options, onStep: this.#onStep });
  }

  override teardown(...[topologyId, options]: Parameters<Applier["teardown"]>) {
    return super.teardown(topologyId, { ...options, onStep: this.#onStep });
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
