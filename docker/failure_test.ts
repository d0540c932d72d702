import assert from "node:assert/strict";
import { checkStatus, EngineError, explain, parseAnswer } from "./failure.ts";
import type { EngineResponse } from "./response_reader.ts";

function answer(status: number, body = ""): EngineResponse {
  return { status, headers: new Map(), body: new TextEncoder().encode(body) };
}

Deno.test("checkStatus() takes success, and what is so already", () => {
  for (const status of [200, 201, 204, 299, 304]) checkStatus(answer(status, "x"), "GET /x");
});

Deno.test("checkStatus() throws EngineError with the status and the engine's words", () => {
  const cases: [status: number, body: string, message: string][] = [
    [404, '{"message":"no such thing"}', "404 (no such thing)"],
    [500, '{"message":"  spaced\\n"}', "500 (spaced)"],
    [409, '{"message":""}', "409"],
    [409, '{"message":" "}', "409"],
    [400, '{"message":7}', "400"],
    [400, '{"cause":"x"}', "400"],
    [502, "null", "502"],
    [502, "<html>", "502"],
    [502, "", "502"],
    [199, "", "199"],
    [300, "", "300"],
    [303, "", "303"],
    [500, JSON.stringify({ message: "é".repeat(300) }), `500 (${"é".repeat(240)})`],
    // A pair of surrogates that is cut in two.
    [500, JSON.stringify({ message: `${"x".repeat(239)}😀` }), `500 (${"x".repeat(239)}\ufffd)`],
  ];
  for (const [status, body, message] of cases) {
    assert.throws(() => checkStatus(answer(status, body), "GET /x"), (error) => {
      assert.ok(error instanceof EngineError);
      const { name, status: told, message: words } = error;
      assert.deepEqual([name, told, words], [
        "EngineError",
        status,
        `GET /x was answered with ${message}`,
      ]);
      return true;
    });
  }
});

Deno.test("parseAnswer() reads JSON, and tells what is none, or is a refusal", () => {
  assert.deepEqual(parseAnswer(answer(200, '{"a":[1]}'), "GET /x"), { a: [1] });
  assert.equal(parseAnswer(answer(200, "null"), "GET /x"), null);
  for (const body of ["", "<html>", '{"a"']) {
    assert.throws(() => parseAnswer(answer(200, body), "GET /x"), {
      name: "Error",
      message: "GET /x was answered with something that is not JSON; " +
        "is it the engine that listens there?",
    });
  }
  assert.throws(() => parseAnswer(answer(404, "{}"), "GET /x"), EngineError);
});

Deno.test("explain() says in an operator's words why there was no answer", () => {
  const cases: [error: unknown, words: RegExp][] = [
    [new Deno.errors.NotFound("os error 2"), /^no such socket; is the engine installed/],
    [new Deno.errors.ConnectionRefused("os error 111"), /^nobody listens; start the engine$/],
    [new Deno.errors.PermissionDenied("os error 13"), /^permission denied; run as root/],
    [new Deno.errors.WouldBlock("os error 11"), /^its queue is full; the engine hangs/],
    [
      new Deno.errors.ConnectionReset("os error 104"),
      /^the engine cut the connection; its log may tell why$/,
    ],
    [
      new Deno.errors.BrokenPipe("os error 32"),
      /^the engine cut the connection; its log may tell why$/,
    ],
    [
      new DOMException("timed out", "TimeoutError"),
      /^no answer in time; if that lasts, restart the engine$/,
    ],
    [new DOMException("it was aborted", "AbortError"), /^it was aborted$/],
    [new Error("some reason"), /^some reason$/],
    ["a text", /^a text$/],
    [undefined, /^undefined$/],
  ];
  for (const [error, words] of cases) assert.match(explain(error), words);
});
