import { X509Certificate } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { request } from "node:https";
import { connect, type TLSSocket } from "node:tls";
import { type ApiClient, type ApiService, SerialQueue } from "../../api/routes.ts";
import { type ApiOptions, ApiServer } from "../../api/server.ts";
import type { Identity } from "../../master/certificates.ts";
import { writeJson } from "../../topology/json.ts";
import type { Authority } from "./certificates.ts";
import { authority, certificatesOf, rogueAuthority } from "./master_setup.ts";
import { assertNoSecrets } from "./secrets.ts";

/** Clients of the API: one that speaks HTTP, and one that sends any text. */

/** What a call was answered with. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
  /** The name in the server's certificate. */
  readonly serverName: string;
}

/** A call; by default a GET on 127.0.0.1. */
export interface CallOptions {
  readonly host?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  /** An object is sent as JSON; a list in chunks, without a length. */
  readonly body?: unknown;
  /** Cuts the connection. */
  readonly signal?: AbortSignal;
}

/** Calls on a connection of its own. Throws `Error` when there is no answer. */
export function call(
  port: number,
  path: string,
  client: Identity,
  { host = "127.0.0.1", method = "GET", headers = {}, body, signal }: CallOptions = {},
): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const chunks = chunksOf(body);
  const sized = chunks.length === 1 ? { "content-length": String(chunks[0]!.length) } : {};
  const sent = request({
    ...{ host, port, path, method, agent: false, servername: "", ...(signal && { signal }) },
    headers: { ...sized, ...headers },
    ...{ ca: client.authority, cert: client.certificate, key: client.key },
  }, (response) => {
    const { subject } = (response.socket as TLSSocket).getPeerCertificate();
    let text = "";
    response.setEncoding("utf8").on("data", (part: string) => text += part);
    response.on("error", reject).on("end", () => {
      const { statusCode: status = 0, headers } = response;
      resolve({
        status,
        headers,
        body: JSON.parse(assertNoSecrets(text)),
        serverName: String(subject.CN),
      });
    });
  });
  // The connection may break after the answer came, which is then what counts.
  sent.on("error", reject);
  for (const chunk of chunks) sent.write(chunk);
  sent.end();
  return promise;
}

function chunksOf(body: unknown): Uint8Array[] {
  if (body === undefined) return [];
  if (body instanceof Uint8Array) return [body];
  if (Array.isArray(body)) return body as Uint8Array[];
  return [new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body))];
}

/** The SHA-256 of the certificate that is shown on a port; null when none is. */
export function serverFingerprint(port: number, host = "127.0.0.1"): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const socket = connect({ host, port, servername: "", rejectUnauthorized: false });
  socket.once("secureConnect", () => resolve(socket.getPeerCertificate().fingerprint256));
  socket.on("error", () => resolve(null));
  return promise.finally(() => socket.destroy());
}

/** A TLS connection on which anything can be sent. */
export class Conversation implements Disposable {
  readonly #socket: TLSSocket;
  #onChange = () => {};
  /** All that was received, one character for each byte. */
  received = "";
  isClosed = false;
  /** How many bytes the kernel has taken of what was sent. */
  taken = 0;

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.setEncoding("latin1").on("error", () => {}).on("data", (part: string) => {
      this.received += assertNoSecrets(part);
      this.#onChange();
    });
    socket.on("close", () => {
      this.isClosed = true;
      this.#onChange();
    });
  }

  /** Connects to 127.0.0.1; resolves when the handshake is done for the client. */
  static async open(port: number, client: Partial<Identity>): Promise<Conversation> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { authority: ca, certificate: cert, key } = client;
    const socket = connect({ host: "127.0.0.1", port, ca, cert, key, rejectUnauthorized: false });
    socket.once("secureConnect", resolve).once("error", reject);
    await promise;
    return new Conversation(socket);
  }

  /** Sends a text or bytes; the last ones also end the sending side. */
  send(content: string | Uint8Array, isLast = false): void {
    // An empty write would never complete.
    if (content.length > 0) this.#socket.write(content, () => this.taken += content.length);
    if (isLast) this.#socket.end();
  }

  /** Resolves with everything received once it contains `text`. Throws `Error` if it never will. */
  async receive(text: string): Promise<string> {
    await this.until(() => this.received.includes(text));
    if (this.received.includes(text)) return this.received;
    throw new Error(`Cannot receive ${text}: the connection was closed after ${this.received}`);
  }

  /** Resolves with everything received once the other end has closed the connection. */
  async end(): Promise<string> {
    await this.until(() => false);
    return this.received;
  }

  /** Closes the connection without notice. */
  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  /** Waits until a condition holds or the connection is closed. */
  async until(condition: () => boolean): Promise<void> {
    while (!this.isClosed && !condition()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onChange = resolve;
      await promise;
    }
  }
}

/** Who may call. */
export const master: Identity = await certificatesOf("decnet-master");
/** Another host's agent, which may not. */
export const worker: Identity = await certificatesOf("host-1");
/** Has the master's name, but another authority. */
export const rogue: Identity = {
  ...await certificatesOf("decnet-master", rogueAuthority),
  authority: authority.certificatePem,
};

/** Issues the certificates of an agent that is called on this host. */
export async function agentIdentity(
  commonName: string,
  issuer: Authority = authority,
): Promise<Identity> {
  const names = { dnsNames: ["localhost"], ipAddresses: ["127.0.0.1", "::1"] };
  const { certificatePem, keyPem } = await issuer.issue({ commonName, ...names });
  return { authority: issuer.certificatePem, certificate: certificatePem, key: keyPem };
}

const agent = await agentIdentity("the agent");

/** A service that records its calls, and does what the test sets. */
class RecordingService implements ApiService {
  readonly queue = new SerialQueue();
  readonly calls: string[] = [];
  /** Of each call for the state. */
  readonly signals: AbortSignal[] = [];
  /** Of each apply. */
  readonly callerAddresses: string[] = [];
  /** Awaited before a call is answered; what it throws is thrown. */
  onCall: (call: string) => void | Promise<void> = () => {};

  async state(signal: AbortSignal): Promise<unknown> {
    this.signals.push(signal);
    await this.#note("state");
    return { topology_id: null };
  }

  async apply(
    hydrated: Parameters<ApiService["apply"]>[0],
    versionHash: string,
    { address }: ApiClient,
  ): Promise<void> {
    this.callerAddresses.push(address);
    await this.#note(`apply ${writeJson({ ...hydrated })} ${versionHash}`);
  }

  async teardown(topologyId: string): Promise<void> {
    await this.#note(`teardown ${topologyId}`);
  }

  scheduleSelfDestruct(): void {
    this.calls.push("self-destruct");
  }

  async #note(call: string): Promise<void> {
    this.calls.push(call);
    await this.onCall(call);
  }
}

/** An API on a free port of this host, with its calls and its log. */
export class ApiSetup implements AsyncDisposable {
  /** What has been logged. */
  readonly log: string[] = [];
  readonly service = new RecordingService();
  /** What lies on the disk. */
  loaded: Awaited<ReturnType<ApiOptions["certificates"]["load"]>> = {
    certificates: agent,
    problem: null,
  };
  #server: ApiServer | null = null;

  /** Without a `service` of its own, the recording one is called. */
  static async start(
    options: Partial<ApiOptions> = {},
    service?: ApiService,
  ): Promise<ApiSetup> {
    const setup = new ApiSetup();
    setup.#server = await ApiServer.start(service ?? setup.service, {
      host: "127.0.0.1",
      port: 0,
      allowedNames: ["decnet-master"],
      certificates: { load: () => Promise.resolve(setup.loaded) },
      log: (level, message, fields = {}) => {
        const line = assertNoSecrets([level, message, ...Object.values(fields)].join(" "));
        if (level !== "debug") setup.log.push(line);
      },
      ...options,
    });
    return setup;
  }

  get port(): number {
    return this.#server!.port;
  }

  /** Calls as the master. */
  call(path: string, options: CallOptions = {}): Promise<Reply> {
    return this.callAs(master, path, options);
  }

  callAs(client: Identity, path: string, options: CallOptions = {}): Promise<Reply> {
    return call(this.port, path, client, options);
  }

  post(path: string, body: unknown): Promise<Reply> {
    return this.call(path, { method: "POST", body });
  }

  talk(client: Partial<Identity> = master): Promise<Conversation> {
    return Conversation.open(this.port, client);
  }

  /** Resolves once a handshake shows this certificate. */
  async isUsed({ certificate }: Identity): Promise<void> {
    const expected = new X509Certificate(certificate).fingerprint256;
    while ((await serverFingerprint(this.port)) !== expected);
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
    this.#server = null;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Defines tests, each with an API of its own that has the usual limits. */
export const onApi = {
  test: (title: string, run: (api: ApiSetup) => Promise<void>): void =>
    Deno.test(title, async () => {
      await using api = await ApiSetup.start();
      await run(api);
    }),
};
