import { Agent, type AgentOptions, type Beat, runLoop } from "../../agent/mod.ts";
import { createLog } from "../../host/mod.ts";
import { Arrivals } from "./arrivals.ts";
import type { Narrator } from "./narrator.ts";

/** With the least jitter, a fifth less, the beats are 0.8 s apart. */
const intervalMs = 1_000;
/** The contract: the agent stops within this time. */
const stopWithinMs = 2_000;

/** The agent's loop, the real one, and how each of its beats ended. */
export class LoopingAgent {
  readonly #agent: Agent;
  readonly #narrator: Narrator;
  readonly #onError: (error: unknown) => void;
  readonly #ended: Arrivals<Beat>;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #delivered = 0;
  #last: Beat | null = null;

  /** `signal` ends all waiting; `onError` takes what ends the loop before it is stopped. */
  constructor(
    options: AgentOptions,
    { narrator, signal, onError }: {
      narrator: Narrator;
      signal: AbortSignal;
      onError: (error: unknown) => void;
    },
  ) {
    this.#agent = new Agent(options);
    this.#narrator = narrator;
    this.#onError = onError;
    this.#ended = new Arrivals(signal, ({ delivery }) => delivery.result);
  }

  /** Starts the loop; what it logs is told. */
  start(): void {
    const log = createLog((line) => this.#narrator.say("agent", line.trimEnd()));
    const onBeat = (beat: Beat) => {
      this.#last = beat;
      if (beat.delivery.result === "delivered") this.#delivered++;
      this.#ended.add(beat);
    };
    // Without chance in it, the first beat comes at once and a failed one is repeated after 5 s.
    const options = { intervalMs, log, onBeat, random: () => 0 };
    this.#loop = runLoop(this.#agent, this.#stopping.signal, options).then(() => {
      if (!this.#stopping.signal.aborted) throw new Error("the agent's loop ended by itself");
    });
    this.#loop.catch(this.#onError);
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
    this.#stopping.abort();
    let timer;
    const late = new Promise<never>((_, reject) => {
      const error = new Error(`the agent did not stop within ${stopWithinMs / 1000} s`);
      timer = setTimeout(() => reject(error), stopWithinMs);
    });
    try {
      // What it may have ended with, `onError` has had.
      await Promise.race([this.#loop.catch(() => {}), late]);
    } finally {
      clearTimeout(timer);
      this.#agent.close();
    }
  }
}
