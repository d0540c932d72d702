import type { Log } from "../host/mod.ts";
import type { Identity } from "./tls_server.ts";

/** The certificates of the disk, and why newer ones were not taken. */
export interface LoadedIdentity {
  readonly certificates: Identity;
  readonly problem: string | null;
}

/** How certificates are looked for, tried and taken into use. */
export interface RenewalOptions {
  readonly load: () => Promise<LoadedIdentity>;
  /** Throws `Error`, fit for an operator, when they are of no use. */
  readonly check: (identity: Identity) => Promise<void>;
  readonly use: (identity: Identity) => void;
  readonly log: Log;
}

/** Takes certificates into use as they come to lie on the disk; those of no use are told once. */
export class Renewal {
  readonly #options: RenewalOptions;
  /** The last ones, which may have been of no use. */
  #seen: Identity | null = null;
  #problem: string | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #looking: Promise<void> | null = null;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  /** Takes the first ones. Throws `Error`, fit for an operator, when there are none to use. */
  async begin(): Promise<void> {
    const { load, check, use } = this.#options;
    const { certificates, problem } = await load();
    await check(certificates);
    use(certificates);
    this.#seen = certificates;
    this.#report(problem);
  }

  /** Looks for new ones from now on, every so many milliseconds. */
  watch(intervalMs: number): void {
    this.#timer = setInterval(() => {
      this.#looking ??= this.#look().finally(() => this.#looking = null);
    }, intervalMs);
  }

  /** Looks no more; resolves when a look that is under way is over. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { load, check, use } = this.#options;
    try {
      const { certificates, problem } = await load();
      if (isSame(certificates, this.#seen)) {
        if (problem !== null) this.#report(problem);
        return;
      }
      this.#seen = certificates;
      await check(certificates);
      use(certificates);
      this.#report(problem);
    } catch (error) {
      this.#report((error as Error).message);
    }
  }

  #report(problem: string | null): void {
    if (problem !== null && problem !== this.#problem) {
      this.#options.log("warn", `the API goes on with the certificates that it has: ${problem}`);
    }
    this.#problem = problem;
  }
}

function isSame(a: Identity, b: Identity | null): boolean {
  return a.authority === b?.authority && a.certificate === b.certificate && a.key === b.key;
}
