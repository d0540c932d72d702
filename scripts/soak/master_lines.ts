/**
 * Counts the lines that a master's answers are worth: one at its 1st, 2nd, 4th, 8th … failure in a
 * row, and one when it is back.
 */
export class MasterLines {
  /** So many lines there must be by now. */
  count = 0;
  #failures = 0;

  /** A beat was sent. */
  sent(isDelivered: boolean): void {
    if (isDelivered) {
      if (this.#failures > 0) this.count++;
      this.#failures = 0;
    } else if (Number.isInteger(Math.log2(++this.#failures))) this.count++;
  }
}
