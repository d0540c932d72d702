/** What makes the loop look between two beats; a face of its own, as a check has no use for it. */
import { EngineWatch, type EngineWatchOptions } from "./engine_watch.ts";
import type { Stock } from "./stock.ts";
import { StoreWatch } from "./store_watch.ts";

/** What to watch, and who is told. */
export interface HostWatchOptions extends EngineWatchOptions {
  /** The SQLite file of the store. */
  readonly storePath: string;
}

/** Tells when the host may have changed: by the engine's events, and by the store's file. */
export class HostWatch {
  readonly #engine: EngineWatch;
  readonly #store: StoreWatch;

  constructor(options: HostWatchOptions) {
    this.#engine = new EngineWatch(options);
    this.#store = new StoreWatch(options.storePath, options);
  }

  /** Watches until `signal` is aborted. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    this.#store.renew();
    await this.#engine.run(signal);
    this.#store.close();
  }

  /** Takes note of what a beat has seen. */
  note(stock: Stock): void {
    this.#engine.note(stock);
    this.#store.renew();
  }
}
