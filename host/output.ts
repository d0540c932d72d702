import { systemMessage } from "./log.ts";

/** As `endsAt` of `OutputWriter.write()`: for a service, whose log must not stop its work. */
export const noWait = 0;

/** How often to try again while there is no room, in milliseconds. */
const pauseMs = 10;
/** The same without blocking the process. */
const retryMs = 200;

/** A stream that throws `WouldBlock` only when it has taken nothing. */
interface TextStream {
  /** Returns how many bytes were taken. */
  readonly writeSync: (bytes: Uint8Array) => number;
}

/** How many bytes a pipe takes as a whole or not at all (PIPE_BUF). */
const pipeBytes = 4096;
/** How much the runtime keeps in memory, in bytes. */
const keptBytes = 1023;
const lineFeed = 10;

/**
 * Standard output, for texts that end with a line feed. Deno 2.9.4 writes whole lines, keeps the rest in
 * a buffer and then writes that, too (https://github.com/denoland/deno/issues/948). When that fails it
 * throws, though it has taken the text. So each text goes in pieces of which it is known whether they were
 * taken.
 */
export const standardOutput: TextStream = {
  writeSync: (bytes) => {
    // Writes what is in the buffer.
    Deno.stdout.writeSync(new Uint8Array());
    const lines = bytes.subarray(0, Deno.stdout.isTerminal() ? 1 : pipeBytes);
    const end = lines.lastIndexOf(lineFeed) + 1;
    if (end > 0) return Deno.stdout.writeSync(bytes.subarray(0, end));
    const next = bytes.indexOf(lineFeed);
    const piece = bytes.subarray(0, Math.min(keptBytes, next < 0 ? bytes.length : next));
    try {
      Deno.stdout.writeSync(piece);
    } catch {
      // It was taken; the next piece throws the same.
    }
    return piece.length;
  },
};

/** Writes texts to a stream whose pipe may be non-blocking, as some parents hand it on. */
export class OutputWriter {
  readonly #stream: TextStream;
  readonly #patienceMs: number;
  /** What is still to be written of a text that has begun: without it, the next line would be damaged. */
  #rest = new Uint8Array();
  /** Whether the last text waited in vain; then the next one does not wait. */
  #isStuck = false;
  #isRetrying = false;

  /** A text waits until nothing of it was taken for `patienceMs`. */
  constructor(stream: TextStream, patienceMs = 10_000) {
    this.#stream = stream;
    this.#patienceMs = patienceMs;
  }

  /**
   * Writes a text; blocks the process while it waits for room, with `endsAt` until that time of
   * `performance.now()`. Returns null, or why the text is lost. Never throws: a full disk or a closed
   * pipe must not end a service.
   */
  write(text: string, endsAt?: number): string | null {
    const lastProblem = this.#writeRest(endsAt);
    if (lastProblem !== null) return lastProblem;
    const bytes = new TextEncoder().encode(text);
    this.#rest = bytes;
    const problem = this.#writeRest(endsAt);
    // Nothing of it was taken, so it can be left out.
    if (this.#rest.length === bytes.length) this.#rest = new Uint8Array();
    else if (problem !== null && endsAt === noWait) this.#retryLater();
    return problem;
  }

  #writeRest(endsAt?: number): string | null {
    let lastTakenAt = performance.now();
    while (this.#rest.length > 0) {
      try {
        this.#rest = this.#rest.subarray(this.#stream.writeSync(this.#rest));
        this.#isStuck = false;
        lastTakenAt = performance.now();
      } catch (error) {
        if (!(error instanceof Deno.errors.WouldBlock)) return this.#fail(error as Error);
        this.#isStuck ||= performance.now() >= (endsAt ?? lastTakenAt + this.#patienceMs);
        if (this.#isStuck) return "its reader has stopped reading";
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
      }
    }
    return null;
  }

  #fail(error: Error): string | null {
    this.#isStuck = false;
    if (!(error instanceof Deno.errors.BrokenPipe)) return systemMessage(error);
    // A reader that closes the pipe, such as `head`, does not want the rest.
    this.#rest = new Uint8Array();
    return null;
  }

  #retryLater(): void {
    if (this.#isRetrying) return;
    this.#isRetrying = true;
    setTimeout(() => {
      this.#isRetrying = false;
      if (this.#writeRest(noWait) !== null) this.#retryLater();
    }, retryMs);
  }
}
