/** Random choices that are the same for the same seed. */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Returns the choices of one case, which depend on its number alone, not on other cases. */
  static ofCase(seed: number, caseNumber: number): SeededRandom {
    return new SeededRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(caseNumber + 1, 0x85ebca6b));
  }

  /** Returns a number in [0, 1). */
  readonly next = (): number => {
    const state = this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };

  /** Returns a whole number in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  isOneIn(count: number): boolean {
    return this.below(count) === 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** Returns what one of these makes. */
  any<T>(...makers: readonly (() => T)[]): T {
    return this.pick(makers)();
  }

  /** Returns a list of what `make` makes. */
  times<T>(count: number, make: (index: number) => T): T[] {
    return Array.from({ length: count }, (_, index) => make(index));
  }

  /** Returns a small number, at times a larger one; never over `limit`. */
  few(limit: number): number {
    return Math.min(limit, this.pick([0, 1, 1, 2, 2, 3, 5, 8, this.below(limit + 1)]));
  }

  /** Returns so many random bytes. */
  bytes(count: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length: count }, () => this.below(256));
  }
}
