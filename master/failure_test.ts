import assert from "node:assert/strict";
import { explainFailure } from "./failure.ts";

Deno.test("explainFailure() says what an operator can mend", () => {
  const cases: [code: string, words: RegExp][] = [
    ["ENOTFOUND", /^its name cannot be resolved; see master-host, and this host's name servers$/],
    ["ECONNREFUSED", /^nobody listens there; start it, or see swarmctl-port$/],
    ["EHOSTUNREACH", /^there is no way to that address; see master-host, and this host's routes$/],
    ...["ECONNRESET", "EPIPE"].map((code): [string, RegExp] => [
      code,
      /^it closed the connection before it answered; it may not accept worker\.crt$/,
    ]),
    [
      "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
      /^it refuses worker\.crt: the message \(ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED\); take one/,
    ],
    [
      "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA",
      /^it refuses worker\.crt: the message \(.*UNKNOWN_CA\); take one from it anew$/,
    ],
    // An alert, too, but no word on the certificate.
    ["ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", /^it speaks neither TLS 1\.2 nor anything newer$/],
    ["CERT_HAS_EXPIRED", /not valid now, which is \d{4}-\d\d-\d\dT.*\(CERT_HAS_EXPIRED\)$/],
    ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", /not signed by ca\.crt/],
    ["EOTHER", /^the message \(EOTHER\)$/],
  ];
  for (const [code, words] of cases) {
    assert.match(explainFailure(Object.assign(new Error("the message"), { code })), words);
  }
});

Deno.test("explainFailure() knows a port without TLS by the message, and a timeout by its name", () => {
  const code = "ERR_SSL_OTHER";
  const noTls = Object.assign(new Error("received corrupt message: InvalidContentType"), { code });
  assert.equal(explainFailure(noTls), "it does not speak TLS there; swarmctl-port tells the port");
  const timeout = new DOMException("Signal timed out.", "TimeoutError");
  assert.equal(explainFailure(timeout), "no answer in time");
});

Deno.test("explainFailure() leaves other errors their own words", () => {
  assert.equal(explainFailure(new Error("no answer within 10 s")), "no answer within 10 s");
  assert.equal(explainFailure("a text"), "a text");
});
