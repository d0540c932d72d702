import assert from "node:assert/strict";
import { type ApiService, SerialQueue } from "../../api/routes.ts";
import { ApiServer } from "../../api/server.ts";
import { ApplyError } from "../../apply/apply_error.ts";
import { versionHash as hashOf } from "../../topology/hash.ts";
import { type JsonObject, parseJson } from "../../topology/json.ts";
import { agentIdentity, Conversation, master } from "../support/api_setup.ts";
import { examine } from "./document_target.ts";
import { documentBytes } from "./documents.ts";
import { checkMessage } from "./oracles.ts";
import type { SeededRandom } from "../support/random.ts";
import {
  chunked,
  encode,
  hostileText,
  joined,
  mutateBytes,
  mutateTree,
  treeOf,
  write,
} from "./hostile.ts";
import type { Target } from "./target.ts";

/** An answer of the API. */
interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
}

const statuses = [100, 200, 400, 404, 405, 408, 409, 413, 417, 422, 431, 500, 501, 503];

/** Returns all whole answers in what was received; checks each. */
function readAnswers(received: string, isClosed: boolean): ApiAnswer[] {
  const answers: ApiAnswer[] = [];
  for (let rest = received; rest !== "";) {
    const end = rest.indexOf("\r\n\r\n") + 4;
    if (end < 4) break;
    const [line = "", ...fields] = rest.slice(0, end - 4).split("\r\n");
    const status = Number(/^HTTP\/1\.1 (\d{3}) [\w ]+$/.exec(line)?.[1]);
    assert.ok(statuses.includes(status), `it answered ${line.slice(0, 200)}`);
    const length = fields.map((it) => /^content-length: (\d+)$/i.exec(it)?.[1]).find((it) => it);
    rest = rest.slice(end);
    if (status === 100) continue;
    assert.ok(length !== undefined, `an answer without a length: ${line}`);
    // To HEAD only the head is sent.
    if ((isClosed && rest === "") || rest.startsWith("HTTP/1.1 ")) {
      answers.push({ status, body: null });
      continue;
    }
    if (rest.length < Number(length)) break;
    const text = rest.slice(0, Number(length));
    rest = rest.slice(Number(length));
    answers.push({ status, body: checkBody(status, text) });
  }
  return answers;
}

function checkBody(status: number, text: string): unknown {
  const bytes = Uint8Array.from(text, (it) => it.charCodeAt(0));
  const body = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  if (status === 200) return body;
  assert.deepEqual(Object.keys(body), ["detail"]);
  checkMessage(body.detail);
  return body;
}

/** A service without an engine, which takes documents that are valid and have the hash that came. */
class ValidatingService implements ApiService {
  readonly queue = new SerialQueue();

  state(): Promise<unknown> {
    return Promise.resolve({ applied: null });
  }

  async apply(hydrated: JsonObject, versionHash: string): Promise<void> {
    const isRight = versionHash === await hashOf(hydrated).catch(() => null);
    const validated = isRight ? await examine(hydrated) : new ApplyError("invalid", "its hash");
    if (validated instanceof ApplyError) throw validated;
  }

  teardown(topologyId: string): Promise<void> {
    assert.equal(typeof topologyId, "string");
    return Promise.resolve();
  }

  scheduleSelfDestruct(): void {}
}

const validity = { validFrom: { at: 0, file: "" }, validTo: { at: Infinity, file: "" } };

const posted = ["/topology/apply", "/topology/teardown"].concat(
  ["/deploy", "/mutate", "/teardown", "/self-destruct"],
);
const paths = ["/", "/health", "/status", "/topology/state", ...posted];
const methods = "GET POST PUT DELETE OPTIONS PATCH TRACE FOO".split(" ");
const tokens = [
  "GET / HTTP/1.1\r\n\r\n|\r\n|\n|\r|\0|:|HTTP/1.0|HTTP/2.0|HTTP/0.9|Expect: x\r\n| folded\r\n",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n|CONNECT a:1 HTTP/1.1\r\n\r\n|Upgrade: h2c\r\n",
  "Content-Length: 5\r\n|Content-Length: -1\r\n|Content-Length: 9999999999\r\n|Connection: close\r\n",
  "Transfer-Encoding: chunked\r\n|Transfer-Encoding: gzip\r\n|Transfer-Encoding: chunked, x\r\n",
  "0\r\n\r\n|ffffffffffffffff\r\n|-5\r\n|5;a=b\r\nhello\r\n|Host: a\r\nHost: b\r\n",
  "Expect: 100-continue\r\n",
].flatMap((line) => line.split("|"));

/** The body of a call; what it is about may be a document, right or not. */
async function bodyOf(path: string, random: SeededRandom): Promise<Uint8Array<ArrayBuffer>> {
  if (random.isOneIn(10)) return encode(JSON.stringify(hostileText(random)));
  if (path === "/topology/apply") {
    // To make a large one and its hash takes longer than to refuse it.
    const document = documentBytes(random, { largeToo: false });
    const hash = random.isOneIn(6)
      ? JSON.stringify(hostileText(random))
      : await hashOfApiRequests(document);
    const body = joined([encode(`{"version_hash":${hash},"hydrated":`), document, encode("}")]);
    return random.isOneIn(8) ? mutateBytes(body, random, { faults: random.few(4) }) : body;
  }
  const key = path === "/teardown" ? "decky_id" : "topology_id";
  const tree = treeOf({ [key]: hostileText(random, "id") });
  if (random.isOneIn(2)) mutateTree(tree, random, 1);
  return encode(write(tree));
}

async function hashOfApiRequests(document: Uint8Array): Promise<string> {
  try {
    return JSON.stringify(await hashOf(parseJson(new TextDecoder().decode(document))));
  } catch {
    return '""';
  }
}

/** Returns a call in valid HTTP, with any content. */
async function wellFormed(random: SeededRandom): Promise<Uint8Array<ArrayBuffer>> {
  const path = random.isOneIn(20)
    ? `/${encodeURIComponent(hostileText(random).toWellFormed())}`.slice(0, 8_000)
    : random.pick(paths);
  const isCall = posted.includes(path);
  const method = random.isOneIn(20) ? random.pick(methods) : isCall ? "POST" : "GET";
  const head = `${method} ${path}${random.isOneIn(20) ? "?a=b" : ""} HTTP/1.1\r\nHost: x\r\n`;
  if (method === "GET") return encode(`${head}\r\n`);
  const body = await bodyOf(path, random);
  if (!random.isOneIn(4)) {
    return joined([encode(`${head}Content-Length: ${body.length}\r\n\r\n`), body]);
  }
  const size = Math.max(1, Math.ceil(body.length / (1 + random.few(50))));
  return joined([encode(`${head}Transfer-Encoding: chunked\r\n\r\n`), chunked(body, size)]);
}

/** Returns bytes of calls that are mostly no longer HTTP. */
async function malformed(random: SeededRandom): Promise<Uint8Array<ArrayBuffer>> {
  const calls: Uint8Array[] = [];
  for (let count = random.pick([1, 1, 1, 2, 5]); count > 0; count--) {
    calls.push(random.isOneIn(6) ? encode(oddCall(random)) : await wellFormed(random));
  }
  return mutateBytes(joined(calls), random, { faults: 1 + random.few(6), tokens });
}

function oddCall(random: SeededRandom): string {
  const call = `${random.pick(["GET", "POST"])} ${random.pick(paths)} HTTP/1.1\r\n`;
  return random.any(
    () => `${call}X: ${"y".repeat(random.pick([100, 15_000, 17_000, 70_000]))}\r\n\r\n`,
    () => `${call}${"A: b\r\n".repeat(random.few(5_000))}\r\n`,
    () => `GET /${"a".repeat(random.pick([7_000, 17_000]))} HTTP/1.1\r\n\r\n`,
    () => `${call}Content-Length: ${random.below(50)}\r\nContent-Length: 3\r\n\r\n{}`,
    () => `${call}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`,
    () => `${call}Content-Length: 9437184\r\n\r\n{`,
    () => `${call}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}`,
    () => `${call}${hostileText(random)}: ${hostileText(random)}\r\n\r\n`,
    () => hostileText(random),
  );
}

const health = encode("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");

/** Opens the target: the API, called with a certificate that is allowed. */
export async function open(): Promise<Target> {
  const service = new ValidatingService();
  const log: string[] = [];
  const certificates = { ...await agentIdentity("the agent"), ...validity };
  const server = await ApiServer.start(service, {
    host: "127.0.0.1",
    port: 0,
    allowedNames: ["decnet-master"],
    certificates: { load: () => Promise.resolve({ certificates, problem: null }) },
    log: (_level, message) => log.push(message),
  });
  const connect = () => Conversation.open(server.port, master);
  let kept = await connect();
  const open = async () => kept = kept.isClosed ? await connect() : kept;
  return {
    run: async (random) => {
      log.length = 0;
      const outcome = random.isOneIn(2)
        ? await callInHttp(await open(), random)
        : await callInOtherBytes(await connect(), random);
      assert.ok(!log.some((it) => it.startsWith("the API failed")), log.join("\n"));
      // The last answer may have closed the connection.
      const [answer] = await answersTo(await open(), health, 1);
      const { status } = answer ?? (await answersTo(await open(), health, 1))[0] ?? {};
      assert.equal(status, 200, "the API no longer answers");
      return outcome;
    },
    close: async () => {
      kept[Symbol.dispose]();
      await server.stop();
    },
  };
}

/** Checks that calls in HTTP get an answer each, one after the other. */
async function callInHttp(connection: Conversation, random: SeededRandom): Promise<string> {
  const calls: Uint8Array[] = [];
  for (let count = random.pick([1, 1, 1, 1, 3]); count > 0; count--) {
    calls.push(await wellFormed(random));
  }
  const answers = await answersTo(connection, joined(calls), calls.length);
  assert.ok(answers.length === calls.length || connection.isClosed, "an answer is missing");
  return String(answers[0]?.status ?? "closed");
}

/** Checks that after any other bytes there is an answer or the connection ends. */
async function callInOtherBytes(connection: Conversation, random: SeededRandom): Promise<string> {
  connection.send(await malformed(random), true);
  await connection.until(() => false);
  return `bad: ${readAnswers(connection.received, true).at(-1)?.status ?? "closed"}`;
}

async function answersTo(connection: Conversation, call: Uint8Array, count: number) {
  connection.send(call);
  const answers = () => readAnswers(connection.received, connection.isClosed);
  await connection.until(() => answers().length >= count);
  const all = answers();
  connection.received = "";
  return all;
}
