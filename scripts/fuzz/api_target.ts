import assert from "node:assert/strict";
import { master } from "../../tests/api_setup.ts";
import { readAnswers } from "./api_answers.ts";
import { listen, type Listeners } from "./api_listeners.ts";
import { malformed, wellFormed } from "./api_requests.ts";
import type { Chance } from "./chance.ts";
import { RawLine } from "./raw_line.ts";
import { ServiceHost } from "./service_host.ts";
import type { Target } from "./target.ts";
import { WatchedService } from "./watched_service.ts";

const health = new TextEncoder().encode("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");

/** The listener of the API, by whoever has a certificate that may call. */
export async function open(folder: string): Promise<Target> {
  const host = await ServiceHost.open(folder);
  const service = new WatchedService(host);
  const log: string[] = [];
  const listeners = await listen(service, (_level, message) => log.push(message));
  const kept = { secure: null as RawLine | null, plain: null as RawLine | null };
  return {
    run: async (chance) => {
      host.clean();
      service.calls = 0;
      log.length = 0;
      const isSecure = chance.isOneIn(3);
      const key = isSecure ? "secure" : "plain";
      const line = async () => {
        if (!kept[key] || kept[key].isOver) kept[key] = await connect(listeners, isSecure);
        return kept[key];
      };
      const outcome = chance.isOneIn(2)
        ? await callWell(await line(), chance)
        : await callBadly(await connect(listeners, isSecure), chance);
      if (service.violation) throw service.violation;
      if (service.calls === 0) assert.deepEqual(host.engine.requests, [], "nobody was called");
      assert.ok(!log.some((it) => it.startsWith("the API failed")), log.join("\n"));
      // The last answer may have closed the connection.
      const [well] = await answerTo(await line(), health, 1);
      const { status } = well ?? (await answerTo(await line(), health, 1))[0] ?? {};
      assert.equal(status, 200, "it is ill");
      return isSecure ? `TLS: ${outcome}` : outcome;
    },
    [Symbol.asyncDispose]: async () => {
      for (const line of Object.values(kept)) line?.leave();
      await listeners[Symbol.asyncDispose]();
      await host[Symbol.asyncDispose]();
    },
  };
}

function connect(listeners: Listeners, isSecure: boolean): Promise<RawLine> {
  return isSecure
    ? RawLine.open(listeners.securePort, master)
    : RawLine.open(listeners.plainPort, null);
}

/** Calls that are HTTP get an answer each, one after the other. */
async function callWell(line: RawLine, chance: Chance): Promise<string> {
  const calls = [];
  for (let count = chance.pick([1, 1, 1, 1, 3]); count > 0; count--) {
    calls.push(await wellFormed(chance));
  }
  for (const call of calls) line.say(call);
  const answers = await answerTo(line, new Uint8Array(), calls.length);
  assert.ok(answers.length === calls.length || line.isOver, "an answer is missing");
  return answers.map(({ status }) => status)[0] === undefined
    ? "closed"
    : String(answers[0]!.status);
}

/** Whatever else is said, there is an answer or the connection ends. */
async function callBadly(line: RawLine, chance: Chance): Promise<string> {
  line.say(await malformed(chance), true);
  await line.until(() => false);
  const answers = readAnswers(line.heard, line.isOver);
  return answers.length > 0 ? `bad: ${answers.at(-1)!.status}` : "bad: closed";
}

async function answerTo(line: RawLine, call: Uint8Array, count: number) {
  if (call.length > 0) line.say(call);
  await line.until(() => readAnswers(line.heard, line.isOver).length >= count);
  const answers = readAnswers(line.heard, line.isOver);
  line.heard = "";
  return answers;
}
