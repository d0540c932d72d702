import assert from "node:assert/strict";
import { refusal, wantsBackoff } from "../../agent/delivery.ts";
import { nextDelayMs } from "../../agent/schedule.ts";
import { type MasterReply, parseRetryAfter } from "../../master/mod.ts";
import { authority, TestClient } from "../../tests/master_setup.ts";
import { createLog } from "../../host/mod.ts";
import type { Chance } from "./chance.ts";
import { masterBytes, refusalText, retryAfter } from "./master_answers.ts";
import { checkError, checkMessage } from "./message_oracle.ts";
import { SpeakingMaster } from "./speaking_master.ts";
import type { Target } from "./target.ts";

const now = Date.UTC(2026, 10, 22);
/** How many cases go through TLS; a handshake takes long. */
const casesForEachConnection = 4;
const timeoutMs = 900;

/** What the master answers, from its bytes to what the agent makes of it. */
export async function open(): Promise<Target> {
  const master = await SpeakingMaster.start(authority);
  const client = await TestClient.to(master);
  return {
    run: async (chance) => {
      if (!chance.isOneIn(casesForEachConnection)) {
        return checkReply({
          status: chance.pick([200, 204, 302, 400, 403, 404, 422, 429, 500, 503]),
          retryAfter: chance.isOneIn(4) ? null : retryAfter(chance),
          text: refusalText(chance).slice(0, 200).toWellFormed(),
        }, chance);
      }
      master.words = masterBytes(chance);
      try {
        return `TLS: ${checkReply(await client.post({ timeoutMs }), chance)}`;
      } catch (error) {
        checkError(error, ["Error"]);
        assert.match(error.message, /^Cannot reach the master at /);
        assert.doesNotMatch(
          error.message,
          /within/,
          "the connection was closed, and not seen to be",
        );
        checkMessage(error.message, 1_000);
        return "TLS: no answer";
      }
    },
    [Symbol.asyncDispose]: async () => {
      client[Symbol.dispose]();
      await master.stop();
    },
  };
}

/** Sees that a reply is told in one short line, and is waited for neither too long nor too short. */
function checkReply(reply: MasterReply, chance: Chance): string {
  assert.ok(Number.isInteger(reply.status) && reply.status >= 0, `status ${reply.status}`);
  assert.ok(reply.text.length <= 200 && reply.text.isWellFormed());
  const error = refusal(reply);
  const retryAfterMs = parseRetryAfter(reply.retryAfter, now);
  if (retryAfterMs !== null) assert.ok(retryAfterMs >= 0, `Retry-After: ${reply.retryAfter}`);
  const delivery = { result: error === null ? "delivered" : "rejected", url: "https://m" } as const;
  const times = { httpStatus: reply.status, latencyMs: 1, retryAfterMs };
  const failures = wantsBackoff({ ...delivery, ...times, error }) ? chance.below(40) : 0;
  const history = { intervalMs: 30_000, failures, retryAfterMs };
  const delayMs = nextDelayMs(history, chance.random());
  assert.ok(delayMs >= 5_000 && delayMs <= 3_600_000, `the next beat in ${delayMs} ms`);
  if (error === null) return "accepted";
  assert.ok(error.length <= 350, `an error of ${error.length} characters`);
  createLog((line) => checkMessage(line.replace(/\n$/, "")))("warn", error);
  return "refused";
}
