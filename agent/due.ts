import { Bell } from "./bell.ts";
import { LookPace } from "./look_pace.ts";

/** Waits so long, or until the bell says something; answers false when the signal cut it short. */
export type Wait = (
  ms: number,
  signal: AbortSignal,
  bell: Bell,
  options?: { readonly takesHints?: boolean },
) => Promise<boolean>;

/** What it takes to know when a beat is due. */
export interface DueOptions {
  readonly bell: Bell;
  readonly wait: Wait;
  /** The least between two beats out of turn, in milliseconds. */
  readonly apartMs: number;
  /** Looks whether a beat would say something else than the last one. */
  readonly hasNews: () => Promise<boolean>;
  /** Whether what is half done is no news now. */
  readonly isBusy: () => boolean;
}

/** Which beats may come out of turn: `none`, those that the bell calls for, or for news as well. */
export type OutOfTurn = "none" | "called" | "news";

/** Tells when beats are due: in their turn, and out of turn when there is something to say. */
export class Due {
  readonly #options: DueOptions;
  readonly #pace = new LookPace();
  #lastExtraAt = -Infinity;

  constructor(options: DueOptions) {
    this.#options = options;
  }

  /** Resolves when the next beat is due, at the latest after `delayMs`; false when it is to stop. */
  async next(delayMs: number, signal: AbortSignal, outOfTurn: OutOfTurn): Promise<boolean> {
    const { bell, wait } = this.#options;
    const dueAt = performance.now() + delayMs;
    for (let leftMs = delayMs;;) {
      const lookAt = outOfTurn === "news" ? this.#pace.dueAt : Infinity;
      const takesHints = outOfTurn === "news" && !this.#pace.isHinted;
      const waitMs = Math.max(0, Math.min(leftMs, lookAt - performance.now()));
      if (!await wait(waitMs, signal, bell, { takesHints })) return false;
      if (bell.take()) {
        if (outOfTurn !== "none") return await this.#extra(signal);
      } else if (takesHints && bell.takeHint()) {
        this.#pace.hint(performance.now());
      } else if (lookAt >= dueAt) {
        return true;
      } else if (await this.#look()) {
        return await this.#extra(signal);
      }
      leftMs = Math.max(0, dueAt - performance.now());
    }
  }

  async #look(): Promise<boolean> {
    const { bell, hasNews, isBusy } = this.#options;
    // Hints from here on may be of what this look no longer sees.
    if (bell.takeHint()) this.#pace.hint(performance.now());
    const startedAt = performance.now();
    const isNews = !isBusy() && await hasNews();
    const now = performance.now();
    this.#pace.looked(now, isNews, now - startedAt);
    return isNews;
  }

  /** Resolves when there may be one more beat out of turn. */
  async #extra(signal: AbortSignal): Promise<boolean> {
    const { bell, wait, apartMs } = this.#options;
    const tooEarlyMs = this.#lastExtraAt + apartMs - performance.now();
    if (tooEarlyMs > 0) await wait(tooEarlyMs, signal, new Bell());
    this.#lastExtraAt = performance.now();
    // Whatever has rung meanwhile, this beat tells it.
    bell.take();
    return !signal.aborted;
  }
}
