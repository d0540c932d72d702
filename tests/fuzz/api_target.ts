import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect as connectPlainly, type Socket } from "node:net";
import { connect as connectSecurely } from "node:tls";
import { Connection, defaultLimits } from "../../api/connections.ts";
import { type ApiService, handle, refuseMalformed, SerialQueue } from "../../api/routes.ts";
import { ApiServer } from "../../api/server.ts";
import type { Identity } from "../../api/auth.ts";
import { ApplyError } from "../../apply/apply_error.ts";
import type { Log } from "../../host/log.ts";
import { versionHash as hashOf } from "../../topology/hash.ts";
import { type Json, parseJson } from "../../topology/json.ts";
import { agentIdentity, master } from "../support/api_setup.ts";
import { ServiceHost, validatedOf } from "./document_target.ts";
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

/** A connection to the API on which any bytes can be sent. */
class RawConnection {
  /** All that was received, one character for each byte. */
  received = "";
  isClosed = false;
  readonly #socket: Socket;
  #onChange = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("latin1");
    socket.on("error", () => {});
    socket.on("data", (part: string) => {
      this.received += part;
      this.#onChange();
    });
    socket.on("close", () => {
      this.isClosed = true;
      this.#onChange();
    });
  }

  /** Connects to a port of this host, with TLS when there is an identity. */
  static async open(port: number, identity: Identity | null): Promise<RawConnection> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const address = { host: "127.0.0.1", port };
    const socket = identity
      ? connectSecurely({
        ...address,
        ca: identity.authority,
        cert: identity.certificate,
        key: identity.key,
        rejectUnauthorized: false,
      })
      : connectPlainly(address);
    socket.once(identity ? "secureConnect" : "connect", resolve).once("error", reject);
    await promise;
    return new RawConnection(socket);
  }

  /** Sends bytes; the last ones also end the sending side. */
  send(bytes: Uint8Array, isLast = false): void {
    if (bytes.length > 0) this.#socket.write(bytes);
    if (isLast) this.#socket.end();
  }

  /** Waits until `condition` holds or the connection is closed. */
  async until(condition: () => boolean): Promise<void> {
    while (!this.isClosed && !condition()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onChange = resolve;
      await promise;
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** An answer of the API. */
interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
}

const statuses = [100, 200, 400, 404, 405, 408, 409, 413, 417, 422, 431, 500, 503];

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
  assert.notEqual(body.detail, "internal error");
  return body;
}

type Document = { readonly [key: string]: Json };

/** The service behind the API; it checks what each call does to the engine. */
class WatchedService implements ApiService {
  /** How many calls have come in this case. */
  calls = 0;
  /** What a call has done that it must not do; null when there is nothing. */
  violation: unknown = null;
  readonly #host: ServiceHost;
  #last: Promise<unknown> = Promise.resolve();

  constructor(host: ServiceHost) {
    this.#host = host;
  }

  state(signal: AbortSignal): Promise<unknown> {
    return this.#withApplyLock(() => this.#host.service.state(signal));
  }

  apply(hydrated: Document, versionHash: string, gone: AbortSignal): Promise<void> {
    return this.#withApplyLock(async () => {
      const document = { ...hydrated };
      const isRight = versionHash === await hashOf(document).catch(() => null);
      const validated = isRight ? await validatedOf(document) : null;
      await this.#watch(
        () => this.#host.service.apply(hydrated, versionHash, gone),
        (outcome) => this.#host.checkEngine(validated, outcome),
      );
    });
  }

  teardown(topologyId: string, gone: AbortSignal): Promise<void> {
    return this.#withApplyLock(() =>
      this.#watch(() => this.#host.service.teardown(topologyId, gone), (outcome) => {
        const { requests, changes } = this.#host.engine;
        assert.deepEqual(changes, [], "there was nothing to remove");
        if (outcome === "malformed") assert.deepEqual(requests, []);
      })
    );
  }

  async #watch(work: () => Promise<void>, check: (outcome: string) => void): Promise<void> {
    this.#host.clean();
    let outcome = "applied";
    try {
      await work();
    } catch (error) {
      outcome = error instanceof ApplyError ? error.code : "a fault";
      throw error;
    } finally {
      try {
        check(outcome);
      } catch (error) {
        this.violation ??= error;
      }
    }
  }

  /** One at a time, so that it is known who has called the engine. */
  #withApplyLock<T>(work: () => Promise<T>): Promise<T> {
    this.calls++;
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }
}

/** The API as it is, and its handler without TLS, which is faster. */
interface Listeners extends AsyncDisposable {
  readonly securePort: number;
  readonly plainPort: number;
}

/** Listens on two free ports of this host. */
async function listen(service: ApiService, log: Log): Promise<Listeners> {
  const identity: Identity = await agentIdentity("the agent");
  const certificates = { ...identity, ...validity };
  const secure = await ApiServer.start(service, {
    host: "127.0.0.1",
    port: 0,
    allowedNames: ["decnet-master"],
    certificates: () => Promise.resolve({ certificates, problem: null }),
    log,
  });
  const plain = createServer({
    maxHeaderSize: defaultLimits.maximumHeaderBytes,
    requireHostHeader: false,
    requestTimeout: 0,
  });
  const connections = new WeakMap<object, Connection>();
  const options = { service, queue: new SerialQueue(), limits: defaultLimits, log };
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const connection = connections.get(request.socket)!;
    connection.begin();
    response.once("close", () => connection.end());
    handle(request, response, connection, options);
  };
  plain
    .on("connection", (socket) => {
      const connection = new Connection(socket);
      connection.identify({ isAllowed: true, expiresAt: Infinity });
      connections.set(socket, connection);
    })
    .on("request", answer).on("checkContinue", answer).on("checkExpectation", answer)
    .on("clientError", (error, socket) => {
      if (connections.get(socket)?.isIdle) refuseMalformed(error, socket);
      else socket.destroy();
    });
  await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
  return {
    securePort: secure.port,
    plainPort: (plain.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      await secure.stop();
      plain.closeAllConnections();
      await new Promise<void>((resolve) => plain.close(() => resolve()));
    },
  };
}

const validity = { validFrom: { at: 0, file: "" }, validTo: { at: Infinity, file: "" } };

const paths = ["/health", "/topology/state", "/topology/apply", "/topology/teardown", "/"];
const methods = [..."GET POST PUT DELETE OPTIONS PATCH TRACE FOO".split(" ")];
const tokens = [
  ..."GET / HTTP/1.1\r\n\r\n|\r\n|\n|\r|\0|:|HTTP/1.0|HTTP/2.0|HTTP/0.9".split("|"),
  ..."PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".split("|"),
  ..."Content-Length: 5\r\n|Content-Length: -1\r\n|Content-Length: 9999999999\r\n".split("|"),
  ..."Expect: x\r\n".split("|"),
  ..."Transfer-Encoding: chunked\r\n|Transfer-Encoding: gzip\r\n".split("|"),
  ..."Transfer-Encoding: chunked, x\r\n".split("|"),
  ..."0\r\n\r\n|ffffffffffffffff\r\n|-5\r\n|5;a=b\r\nhello\r\n".split("|"),
  ..."Connection: close\r\n|Upgrade: h2c\r\n".split("|"),
  ..."Expect: 100-continue\r\n|Host: a\r\nHost: b\r\n| folded\r\n".split("|"),
  ..."CONNECT a:1 HTTP/1.1\r\n\r\n".split("|"),
];

/** The body of a call; what it is about may be a document, right or not. */
async function bodyOf(path: string, random: SeededRandom): Promise<Uint8Array<ArrayBuffer>> {
  if (random.isOneIn(10)) return encode(JSON.stringify(hostileText(random)));
  if (path === "/topology/apply") {
    // To make a large one and its hash takes longer than to refuse it.
    const document = documentBytes(random, { largeToo: false });
    const hash = random.isOneIn(6)
      ? JSON.stringify(hostileText(random))
      : await hashOfApiRequests(document);
    const parts = [`"version_hash":${hash}`, '"hydrated":'].map(encode);
    const body = joined([encode("{"), parts[0]!, encode(","), parts[1]!, document, encode("}")]);
    return random.isOneIn(8) ? mutateBytes(body, random, { faults: random.few(4) }) : body;
  }
  const tree = treeOf({ topology_id: hostileText(random, "id") });
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
  const isCall = path === "/topology/apply" || path === "/topology/teardown";
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
export async function open(folder: string): Promise<Target> {
  const host = await ServiceHost.open(folder);
  const service = new WatchedService(host);
  const log: string[] = [];
  const listeners = await listen(service, (_level, message) => log.push(message));
  const kept = { secure: null as RawConnection | null, plain: null as RawConnection | null };
  return {
    run: async (random) => {
      host.clean();
      service.calls = 0;
      log.length = 0;
      const isSecure = random.isOneIn(3);
      const key = isSecure ? "secure" : "plain";
      const line = async () => {
        if (!kept[key] || kept[key].isClosed) kept[key] = await connect(listeners, isSecure);
        return kept[key];
      };
      const outcome = random.isOneIn(2)
        ? await callInHttp(await line(), random)
        : await callInOtherBytes(await connect(listeners, isSecure), random);
      if (service.violation) throw service.violation;
      if (service.calls === 0) {
        assert.deepEqual(host.engine.requests, [], "the engine was called without a call");
      }
      assert.ok(!log.some((it) => it.startsWith("the API failed")), log.join("\n"));
      // The last answer may have closed the connection.
      const [well] = await answerTo(await line(), health, 1);
      const { status } = well ?? (await answerTo(await line(), health, 1))[0] ?? {};
      assert.equal(status, 200, "the API no longer answers");
      return isSecure ? `TLS: ${outcome}` : outcome;
    },
    [Symbol.asyncDispose]: async () => {
      for (const line of Object.values(kept)) line?.close();
      await listeners[Symbol.asyncDispose]();
      await host[Symbol.asyncDispose]();
    },
  };
}

function connect(listeners: Listeners, isSecure: boolean): Promise<RawConnection> {
  return isSecure
    ? RawConnection.open(listeners.securePort, master)
    : RawConnection.open(listeners.plainPort, null);
}

/** Checks that calls in HTTP get an answer each, one after the other. */
async function callInHttp(line: RawConnection, random: SeededRandom): Promise<string> {
  const calls = [];
  for (let count = random.pick([1, 1, 1, 1, 3]); count > 0; count--) {
    calls.push(await wellFormed(random));
  }
  for (const call of calls) line.send(call);
  const answers = await answerTo(line, new Uint8Array(), calls.length);
  assert.ok(answers.length === calls.length || line.isClosed, "an answer is missing");
  return String(answers[0]?.status ?? "closed");
}

/** Checks that after any other bytes there is an answer or the connection ends. */
async function callInOtherBytes(line: RawConnection, random: SeededRandom): Promise<string> {
  line.send(await malformed(random), true);
  await line.until(() => false);
  const answers = readAnswers(line.received, line.isClosed);
  return answers.length > 0 ? `bad: ${answers.at(-1)!.status}` : "bad: closed";
}

async function answerTo(line: RawConnection, call: Uint8Array, count: number) {
  if (call.length > 0) line.send(call);
  await line.until(() => readAnswers(line.received, line.isClosed).length >= count);
  const answers = readAnswers(line.received, line.isClosed);
  line.received = "";
  return answers;
}
