import { type Random, seededRandom } from "../random_document.ts";

/** The choices of one case: the same seed and number give the same ones, whatever ran before. */
export class Chance {
  readonly random: Random;

  constructor(seed: number, caseNumber: number) {
    this.random = seededRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(caseNumber + 1, 0x85ebca6b));
  }

  /** A whole number from 0 to `limit`, which is not reached. */
  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  isOneIn(count: number): boolean {
    return this.below(count) === 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** What one of these makes. */
  any<T>(...makers: readonly (() => T)[]): T {
    return this.pick(makers)();
  }

  /** A list of what `make` makes. */
  times<T>(count: number, make: (index: number) => T): T[] {
    return Array.from({ length: count }, (_, index) => make(index));
  }

  /** A small number, at times a larger one; never over `limit`. */
  few(limit: number): number {
    return Math.min(limit, this.pick([0, 1, 1, 2, 2, 3, 5, 8, this.below(limit + 1)]));
  }

  /** So many random bytes. */
  bytes(count: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length: count }, () => this.below(256));
  }
}
