import { Bell, runLoop } from "../agent/mod.ts";
import { HostWatch } from "../agent/watch.ts";
import { createLog } from "../host/mod.ts";
import { AgentSetup } from "./agent_setup.ts";
import type { Beat } from "../agent/mod.ts";

/** How the loop is run. */
export interface WatchedOptions {
  readonly intervalMs?: number;
  readonly sockets?: readonly string[];
  /** With 0 the first beat comes at once, and a stream is tried again as soon as may be. */
  readonly random?: () => number;
}

/** The agent's loop with all that it watches, as `decnet-agent` runs it, but for the API. */
export class WatchedLoop implements AsyncDisposable {
  /** What it has logged, but for drift. */
  readonly lines: string[] = [];
  readonly beats: Beat[] = [];
  /** How many beats and looks have begun. */
  works = 0;
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;

  /** The interval is so long that no test waits for it. */
  constructor(setup: AgentSetup, options: WatchedOptions = {}) {
    const { intervalMs = 3_600_000, sockets = [setup.engine.socketPath], random = () => 0 } =
      options;
    const agent = setup.newAgent({ sockets });
    const bell = new Bell();
    const log = createLog((line) => {
      if (!line.includes("drift")) this.lines.push(line.trimEnd());
    });
    const watch = new HostWatch({
      sockets,
      storePath: setup.storePath,
      networkPrefixes: ["decnet-topology-", "decnet_t_"],
      containerPrefixes: ["decnet-", "decnet_t_"],
      log,
      onChange: () => bell.hint(),
      random,
    });
    const { signal } = this.#stop;
    const loop = runLoop(agent, signal, {
      intervalMs,
      extraApartMs: 0,
      log,
      bell,
      random,
      onWork: (phase) => this.works += phase === "begin" ? 1 : 0,
      onBeat: (beat) => {
        this.beats.push(beat);
        watch.note(beat.stock);
      },
    });
    this.#running = Promise.all([loop, watch.run(signal)]).finally(() => agent.close());
  }

  /** The names of the containers that the last beat told of, or the error that stood there. */
  get told(): readonly string[] | string | null {
    const observed = this.beats.at(-1)?.stock.observed;
    if (!observed) return null;
    return "error" in observed ? observed.error : observed.containers;
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

/** Waits until something holds. Throws `Error` when it does not within 20 s. */
export async function until(condition: () => boolean): Promise<void> {
  const startedAt = performance.now();
  while (!condition()) {
    if (performance.now() - startedAt > 20_000) throw new Error(`In vain waited for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
