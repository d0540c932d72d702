import assert from "node:assert/strict";

/** Longer than any message that is meant to be read, in characters. */
const maximumLength = 1_000_000;
/** What steers a terminal or breaks a line. */
const unprintable = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/u;

/** Sees that a text is one line that can be shown to anybody, and not empty. */
export function checkMessage(text: unknown, maximum = maximumLength): void {
  assert.equal(typeof text, "string", "no message");
  // Half a character becomes a whole one where it is written.
  const message = (text as string).toWellFormed();
  assert.notEqual(message.trim(), "", "an empty message");
  assert.ok(message.length <= maximum, `a message of ${message.length} characters`);
  const odd = unprintable.exec(message);
  assert.ok(!odd, `not printable at ${odd?.index}: ${JSON.stringify(message.slice(0, 500))}`);
}

/** Sees that what was thrown is meant to be: no fault of the program such as a `ReferenceError`. */
export function checkError(error: unknown, names: readonly string[]): asserts error is Error {
  assert.ok(error instanceof Error, `not an Error was thrown: ${String(error)}`);
  if (!names.includes(error.name)) throw error;
  assert.notEqual(error.message.trim(), "", "an Error without a message");
}
