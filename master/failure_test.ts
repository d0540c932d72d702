import assert from "node:assert/strict";
import { explainFailure } from "./failure.ts";

Deno.test("explainFailure() says what an operator can mend", () => {
  const cases: [code: string, words: RegExp][] = [
    ["ENOTFOUND", /^its name cannot be resolved$/],
    ["ECONNREFUSED", /^nobody listens there$/],
    ["EHOSTUNREACH", /^there is no way to that address$/],
    ["ECONNRESET", /worker\.crt/],
    ["ERR_TLS_CERT_ALTNAME_INVALID", /^the message; master-name tells/],
    ["CERT_HAS_EXPIRED", /not valid now, which is \d{4}-\d\d-\d\dT.*\(CERT_HAS_EXPIRED\)$/],
    ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", /not signed by ca\.crt/],
    ["EOTHER", /^the message \(EOTHER\)$/],
  ];
  for (const [code, words] of cases) {
    assert.match(explainFailure(Object.assign(new Error("the message"), { code })), words);
  }
});

Deno.test("explainFailure() leaves other errors their own words", () => {
  assert.equal(explainFailure(new Error("no answer within 10 s")), "no answer within 10 s");
  assert.equal(explainFailure("a text"), "a text");
});
