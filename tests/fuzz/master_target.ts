import assert from "node:assert/strict";
import { createServer } from "node:tls";
import { nextDelayMs } from "../../agent/schedule.ts";
import { rejectionReason, wantsBackoff } from "../../agent/sender.ts";
import { createLog } from "../../host/log.ts";
import { type MasterReply, parseRetryAfter } from "../../master/client.ts";
import { authority, TestClient } from "../support/master_setup.ts";
import { checkError, checkMessage } from "./oracles.ts";
import type { SeededRandom } from "../support/random.ts";
import { answerBytes, encode, hostileText } from "./hostile.ts";
import { ScriptedServer } from "./raw_socket.ts";
import type { Target } from "./target.ts";

const numbers = "0 1 5 3600 -1 +5 1.5 1e3 0x10 ٣ Infinity NaN 007 5;q=1".split(" ")
  .concat("9".repeat(400), " 5", "5 ", "5, 5", "");
const dates = [
  "Sun, 22 Nov 2026 21:00:00 GMT|Sunday, 22-Nov-26 21:00:00 GMT|Sun Nov 22 21:00:00 2026|Mon",
  "Fri, 31 Dec 9999 23:59:59 GMT|Thu, 01 Jan 1970 00:00:00 GMT|Wed, 32 Foo 20266 99:99:99 GMT",
  "2026-11-22T21:00:00Z|Dec 1 -271821|Jan 1 275761",
].flatMap((line) => line.split("|"));
/** A value for `Retry-After`. */
function retryAfter(random: SeededRandom): string {
  return random.any(
    () => random.pick(numbers),
    () => random.pick(dates),
    () => String(random.below(2 ** 32)),
    () => hostileText(random),
    () => random.pick(["Mon ", "A", "1", "(", " "]).repeat(random.few(5_000)),
  );
}

/** Returns a reason for a rejection, as a master or another server would write it. */
function refusalText(random: SeededRandom): string {
  return random.any(
    () => JSON.stringify({ detail: hostileText(random) }),
    () => hostileText(random),
    () => `<html>${"<b>x</b>\n".repeat(random.few(9_000))}`,
    () => random.pick(["\0", " ", "\n", "😀", "\ud800"]).repeat(random.few(9_000)),
  );
}

/** An answer as it comes over the wire; the connection is closed after it. */
function masterBytes(random: SeededRandom): Uint8Array<ArrayBuffer> {
  const rarely = random.pick([3, 1_000]);
  const status = random.pick(["204 No Content", "200 OK", "403 x", "404 x", "422 x", "429 x"]
    .concat("500 x", "503 x", "302 Found", "304 x", "100 Go", "101 x", "600 x", "99 x", "1000 x"));
  const body = encode(random.isOneIn(200) ? "x".repeat(200_000) : refusalText(random));
  const fields = random.times(random.few(random.isOneIn(50) ? 900 : 4), () =>
    random.any(
      () => `Retry-After: ${retryAfter(random).replace(/[^\x20-\x7e]/g, "")}\r\n`,
      () => `X: ${"y".repeat(random.few(9_000))}\r\n`,
      () => "Content-Type: application/json\r\n",
      () => random.isOneIn(rarely) ? hostileText(random) : "",
    ));
  return answerBytes(random, { status, fields, body, rarely });
}

const now = Date.UTC(2026, 10, 22);
/** One in so many cases goes through TLS; a handshake takes long. */
const casesForEachConnection = 4;
const timeoutMs = 900;

/** Opens the target: replies of the master, from their bytes to what the agent reports. */
export async function open(): Promise<Target> {
  const { certificatePem: cert, keyPem: key } = await authority.issue({
    commonName: "the master",
    dnsNames: ["master.test"],
    ipAddresses: ["127.0.0.1"],
    usage: "server",
  });
  const ca = authority.certificatePem;
  const master = await ScriptedServer.onTls(createServer({ ca, cert, key, requestCert: true }));
  const client = await TestClient.to(master);
  return {
    run: async (random) => {
      if (!random.isOneIn(casesForEachConnection)) {
        return checkReply({
          status: random.pick([200, 204, 302, 400, 403, 404, 422, 429, 500, 503]),
          retryAfter: random.isOneIn(4) ? null : retryAfter(random),
          text: refusalText(random).slice(0, 200).toWellFormed(),
        }, random);
      }
      master.reply = masterBytes(random);
      try {
        return `TLS: ${checkReply(await client.post({ timeoutMs }), random)}`;
      } catch (error) {
        checkError(error, ["Error"]);
        assert.match(error.message, /^Cannot reach the master at /);
        assert.doesNotMatch(
          error.message,
          /within/,
          "it did not see that the connection was closed",
        );
        checkMessage(error.message, 1_000);
        return "TLS: no answer";
      }
    },
    close: async () => {
      client[Symbol.dispose]();
      await master[Symbol.asyncDispose]();
    },
  };
}

/** Checks that a reply is reported in one short line, and sets a delay within its limits. */
function checkReply(reply: MasterReply, random: SeededRandom): string {
  assert.ok(Number.isInteger(reply.status) && reply.status >= 0, `status ${reply.status}`);
  assert.ok(reply.text.length <= 200 && reply.text.isWellFormed());
  const error = rejectionReason(reply);
  const retryAfterMs = parseRetryAfter(reply.retryAfter, now);
  if (retryAfterMs !== null) assert.ok(retryAfterMs >= 0, `Retry-After: ${reply.retryAfter}`);
  const result = { kind: error === null ? "delivered" : "rejected", url: "https://m" } as const;
  const times = { httpStatus: reply.status, latencyMs: 1, retryAfterMs };
  const failures = wantsBackoff({ ...result, ...times, error }) ? random.below(40) : 0;
  const history = { intervalMs: 30_000, failures, retryAfterMs };
  const delayMs = nextDelayMs(history, random.next());
  assert.ok(delayMs >= 5_000 && delayMs <= 3_600_000, `the next heartbeat in ${delayMs} ms`);
  if (error === null) return "accepted";
  assert.ok(error.length <= 350, `an error of ${error.length} characters`);
  createLog((line) => checkMessage(line.replace(/\n$/, "")))("warn", error);
  return "refused";
}
