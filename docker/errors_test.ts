import assert from "node:assert/strict";
import {
  checkStatus,
  EngineError,
  type EngineFailure,
  parseAnswer,
  readFailure,
} from "./errors.ts";

function answer(status: number, body = "") {
  return { status, body: new TextEncoder().encode(body) };
}

Deno.test("checkStatus() accepts success, and what is so already", () => {
  for (const status of [200, 201, 204, 299, 304]) checkStatus(answer(status, "x"), "GET /x");
});

Deno.test("checkStatus() throws EngineError with status and words", () => {
  const cases: [status: number, body: string, words: string][] = [
    [404, '{"message":"no such thing"}', "no such thing"],
    [500, '{"message":"  spaced\\n"}', "spaced"],
    [409, '{"message":""}', ""],
    [409, '{"message":" "}', ""],
    [400, '{"message":7}', ""],
    [400, '{"cause":"x"}', ""],
    [502, "null", ""],
    [502, "<html>", ""],
    [502, "", ""],
    [199, "", ""],
    [300, "", ""],
    [303, "", ""],
    [500, JSON.stringify({ message: "é".repeat(500) }), "é".repeat(400)],
    // A pair of surrogates that is cut in two.
    [500, JSON.stringify({ message: `${"x".repeat(399)}😀` }), `${"x".repeat(399)}\ufffd`],
  ];
  for (const [status, body, words] of cases) {
    assert.throws(() => checkStatus(answer(status, body), "GET /x"), {
      name: "EngineError",
      status,
      failure: { reason: "status", call: "GET /x", status, words },
      message: `GET /x was answered with ${status}${words && ` (${words})`}`,
    });
  }
});

Deno.test("parseAnswer() reads JSON and throws for anything else", () => {
  assert.deepEqual(parseAnswer('{"a":[1]}', "GET /x"), { a: [1] });
  assert.equal(parseAnswer("null", "GET /x"), null);
  for (const text of ["", "<html>", '{"a"']) {
    assert.throws(() => parseAnswer(text, "GET /x"), {
      name: "EngineError",
      failure: { reason: "not-json", call: "GET /x" },
      message: "GET /x was answered with invalid JSON; " +
        "is this the engine's socket?",
    });
  }
});

Deno.test("readFailure() knows the runtime's errors, EngineError words them", () => {
  const cases: [error: unknown, reason: EngineFailure["reason"], words: RegExp][] = [
    [new Deno.errors.NotFound("2"), "no-socket", /^no such file; is the engine installed/],
    [new Deno.errors.ConnectionRefused("111"), "not-listening", /^connection refused; start the/],
    [new Deno.errors.PermissionDenied("13"), "permission-denied", /^permission denied; run as/],
    [new Deno.errors.WouldBlock("11"), "queue-full", /^too many waiting connections; the eng/],
    [new Deno.errors.ConnectionReset("104"), "connection-cut", /^connection reset; the engine/],
    [new Deno.errors.BrokenPipe("32"), "connection-cut", /^connection reset; the engine's log/],
    [new DOMException("x", "TimeoutError"), "timeout", /^no answer in time; if this continues/],
    [new DOMException("it was aborted", "AbortError"), "other", /^it was aborted$/],
    [new EngineError({ reason: "not-http" }, "there"), "not-http", /^the answer is not HTTP/],
    [new Error("some reason"), "other", /^some reason$/],
    ["a text", "other", /^a text$/],
    [undefined, "other", /^undefined$/],
  ];
  for (const [error, reason, words] of cases) {
    const failure = readFailure(error);
    assert.equal(failure.reason, reason);
    assert.match(new EngineError(failure).message, words);
  }
  const { message, status } = new EngineError({ reason: "timeout", afterMs: 300 }, "Docker at /x");
  assert.match(message, /^Docker at \/x: no answer within 0\.3 s; if this continues/);
  assert.equal(status, null);
});
