/** Stand-ins for who calls the agent: one that speaks HTTP, and one that says what it is told. */

import { type IncomingHttpHeaders } from "node:http";
import { request } from "node:https";
import { connect, type TLSSocket } from "node:tls";
import type { Identity } from "../api/tls_server.ts";
import { witness } from "./secrets.ts";

/** What a call was answered with. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
  /** The name in the certificate of whoever answered. */
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
      resolve({ status, headers, body: JSON.parse(witness(text)), serverName: String(subject.CN) });
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

/** The SHA-256 of the certificate that is shown on a port of this host; null when none is. */
export function serverFingerprint(port: number): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
  socket.once("secureConnect", () => resolve(socket.getPeerCertificate().fingerprint256));
  socket.on("error", () => resolve(null));
  return promise.finally(() => socket.destroy());
}

/** A TLS connection on which anything can be said. */
export class Conversation implements Disposable {
  readonly #socket: TLSSocket;
  #heard = "";
  #onChange = () => {};
  #isOver = false;

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on("error", () => {});
    socket.on("data", (part: Uint8Array) => {
      this.#heard += witness(new TextDecoder().decode(part));
      this.#onChange();
    });
    socket.on("close", () => {
      this.#isOver = true;
      this.#onChange();
    });
  }

  /** Connects to 127.0.0.1; resolves when the client takes the handshake for done. */
  static async open(port: number, client: Partial<Identity>): Promise<Conversation> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { authority: ca, certificate: cert, key } = client;
    const socket = connect({ host: "127.0.0.1", port, ca, cert, key, rejectUnauthorized: false });
    socket.once("secureConnect", resolve).once("error", reject);
    await promise;
    return new Conversation(socket);
  }

  /** Says something. */
  say(text: string): void {
    // A write of nothing would never be over.
    if (text !== "") this.#socket.write(text);
  }

  /** Resolves with all that was heard once it holds `text`. Throws `Error` if it never will. */
  async hear(text: string): Promise<string> {
    await this.#until(() => this.#heard.includes(text));
    if (this.#heard.includes(text)) return this.#heard;
    throw new Error(`Cannot hear ${text}: the connection was closed after ${this.#heard}`);
  }

  /** Resolves with all that was heard once the other end has closed the connection. */
  async end(): Promise<string> {
    await this.#until(() => false);
    return this.#heard;
  }

  /** Leaves without a word. */
  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!this.#isOver && !condition()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onChange = resolve;
      await promise;
    }
  }
}
