import assert from "node:assert/strict";
import { type Delivery, refusal, wantsBackoff } from "./delivery.ts";

Deno.test("refusal() takes each 2xx for accepted, and says what other answers mean", () => {
  const cases: [status: number, text: string, expected: string | null][] = [
    [200, "no", null],
    [204, "", null],
    [299, "", null],
    [100, "", "the master answered 100"],
    [304, "", "the master answered 304"],
    ...[301, 302, 303, 307, 308].map((status): [number, string, string] => [
      status,
      "",
      `the master answered ${status}: redirects are not followed`,
    ]),
    [
      400,
      "",
      "the master answered 400: it does not understand the beat; one of the two may be too old",
    ],
    [
      403,
      '{"detail":"no"}',
      "the master answered 403: worker.crt is not the certificate pinned to this host-uuid; enrol this host again: " +
      '"{"detail":"no"}"',
    ],
    [
      404,
      "",
      "the master answered 404: it does not know this host-uuid; enrol this host, or see host-uuid",
    ],
    [
      422,
      " \n",
      "the master answered 422: it does not understand the beat; one of the two may be too old",
    ],
    [500, "a\r\n\tb  c ", 'the master answered 500: "a b c"'],
  ];
  for (const [status, text, expected] of cases) {
    assert.equal(refusal({ status, text, retryAfter: null }), expected);
  }
});

Deno.test("wantsBackoff() spares a master that is absent or at fault, and no other", () => {
  const sent = { url: "https://m", latencyMs: 3, retryAfterMs: null, error: "e" };
  const rejected = (httpStatus: number) => ({ ...sent, result: "rejected", httpStatus }) as const;
  const unreachable = { ...sent, result: "unreachable", httpStatus: null } as const;
  const cases: [delivery: Delivery, expected: boolean][] = [
    [{ result: "not_configured" }, false],
    [{ result: "dry_run", url: "https://m" }, false],
    [{ ...sent, result: "delivered", httpStatus: 204, error: null }, false],
    [unreachable, true],
    // Nothing was sent: the certificates are missing, which the master has no part in.
    [{ ...unreachable, latencyMs: null }, false],
    ...[302, 400, 403, 404, 422].map((status) => [rejected(status), false] as [Delivery, boolean]),
    ...[429, 500, 502, 503, 599].map((status) => [rejected(status), true] as [Delivery, boolean]),
  ];
  for (const [delivery, expected] of cases) {
    assert.equal(wantsBackoff(delivery), expected, JSON.stringify(delivery));
  }
});
