import assert from "node:assert/strict";
import { until } from "../tests/support/environment.ts";
import { noWait, OutputWriter } from "./output.ts";

/** A non-blocking pipe with room for some bytes; each full try may make room for more. */
class Pipe {
  taken = "";
  tries = 0;

  constructor(public room: number, readonly onFull: (pipe: Pipe) => void = () => {}) {}

  writeSync(bytes: Uint8Array): number {
    this.tries++;
    if (this.room === 0) {
      this.onFull(this);
      throw new Deno.errors.WouldBlock("Resource temporarily unavailable (os error 11)");
    }
    const count = Math.min(this.room, bytes.length);
    this.taken += new TextDecoder().decode(bytes.subarray(0, count));
    this.room -= count;
    return count;
  }
}

const stuck = "its reader has stopped reading";
const briefMs = 60;
/** Returns the time that is so many milliseconds from now. */
const inMs = (ms: number) => performance.now() + ms;

Deno.test("OutputWriter.write() waits until a full pipe has room", () => {
  const pipe = new Pipe(3, (it) => it.room = 2);
  const writer = new OutputWriter(pipe);
  assert.equal(writer.write("a long text"), null);
  assert.equal(pipe.taken, "a long text");
});

Deno.test("OutputWriter.write() ends when nothing is taken for the time", () => {
  const pipe = new Pipe(0);
  const writer = new OutputWriter(pipe);
  const startedAt = performance.now();
  assert.equal(writer.write("one", inMs(briefMs)), stuck);
  assert.ok(performance.now() - startedAt >= briefMs);
  // The next texts do not wait again.
  const tries = pipe.tries;
  assert.equal(writer.write("two", inMs(briefMs)), stuck);
  assert.equal(pipe.tries, tries + 1);
  pipe.room = 99;
  assert.equal(writer.write("three", inMs(briefMs)), null);
  assert.equal(pipe.taken, "three");
});

Deno.test("OutputWriter.write() counts from the last byte, or from the first", () => {
  for (const isRenewed of [true, false]) {
    // A byte at every third try, each 10 ms after the last: 600 ms for all.
    let fullCount = 0;
    const pipe = new Pipe(1, (it) => it.room = ++fullCount % 3 === 0 ? 1 : 0);
    const writer = new OutputWriter(pipe, 500);
    const problem = writer.write("x".repeat(20), isRenewed ? undefined : inMs(500));
    assert.equal(problem, isRenewed ? null : stuck);
  }
});

Deno.test("OutputWriter.write() leaves out whole texts, and ends what has begun", () => {
  const pipe = new Pipe(6);
  const writer = new OutputWriter(pipe);
  for (const line of ["one\n", "second\n", "third\n"]) writer.write(line, inMs(1));
  assert.equal(pipe.taken, "one\nse");
  pipe.room = 99;
  assert.equal(writer.write("fourth\n", noWait), null);
  assert.equal(pipe.taken, "one\nsecond\nfourth\n");
});

Deno.test("OutputWriter.write() ends later what a service has begun", async () => {
  const pipe = new Pipe(6);
  const writer = new OutputWriter(pipe);
  assert.equal(writer.write("a long line\n", noWait), stuck);
  assert.equal(writer.write("left out\n", noWait), stuck);
  pipe.room = 99;
  await until(() => pipe.taken === "a long line\n");
});

Deno.test("OutputWriter.write() says why a text is lost", () => {
  const failing = (error: Error) =>
    new OutputWriter({
      writeSync: () => {
        throw error;
      },
    });
  const full = failing(new Error("No space left on device (os error 28)"));
  assert.equal(full.write("text"), "No space left on device");
  assert.equal(failing(new Deno.errors.BrokenPipe("x")).write("text"), null);
});
