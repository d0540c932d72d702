import type { Step } from "../apply/mod.ts";
import { printable } from "../host/mod.ts";
import type { Terminal } from "./terminal.ts";

const clearLine = "\r\x1b[K";

/** Tells on standard error what is being done: in one line that changes, or in a line each. */
export class Progress {
  readonly #terminal: Pick<Terminal, "stderr" | "columns">;
  #isLineOpen = false;

  constructor(terminal: Pick<Terminal, "stderr" | "columns">) {
    this.#terminal = terminal;
  }

  /** Something has been done. */
  step({ done, total, text }: Step): void {
    this.#write(`[${done}/${total}] ${text}`);
  }

  /** Somebody else is at it. */
  waiting(holder: string): void {
    this.#write(`waiting: another apply or teardown is under way, by ${holder}`);
  }

  /** Leaves the terminal as it was. */
  end(): void {
    if (this.#isLineOpen) this.#terminal.stderr(clearLine);
    this.#isLineOpen = false;
  }

  #write(text: string): void {
    // A terminal that was never told its size says 0.
    const columns = this.#terminal.columns() || null;
    const line = printable(text);
    // A line that is broken in two could not be written over.
    this.#terminal.stderr(columns ? clearLine + line.slice(0, columns - 1) : `${line}\n`);
    this.#isLineOpen = columns !== null;
  }
}
