import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Peer } from "./auth.ts";

/** Limits on what clients may use. */
export interface Limits {
  /** TCP connections at once. */
  readonly maximumConnections: number;
  /** Bytes of a request's line and headers. */
  readonly maximumHeaderBytes: number;
  readonly maximumBodyBytes: number;
  /** From the TCP connection to the end of the TLS handshake, in milliseconds. */
  readonly handshakeTimeoutMs: number;
  /** From the handshake, or a request's first byte, to the end of its headers, in milliseconds. */
  readonly headerTimeoutMs: number;
  /** For a request's body, in milliseconds. */
  readonly bodyTimeoutMs: number;
  /** How long a connection is kept between two requests, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** How long `stop()` waits for answers, in milliseconds. */
  readonly stopTimeoutMs: number;
}

/** The limits in production. An answer may take any time: an apply can run for minutes. */
export const defaultLimits: Limits = {
  maximumConnections: 16,
  maximumHeaderBytes: 16 * 1024,
  maximumBodyBytes: 8 * 2 ** 20,
  handshakeTimeoutMs: 5_000,
  headerTimeoutMs: 5_000,
  bodyTimeoutMs: 60_000,
  idleTimeoutMs: 60_000,
  stopTimeoutMs: 1_000,
};

/**
 * The part of a socket that receives. It is not public, but to pause a TLS socket does not stop the
 * runtime from receiving, without a bound (seen in 2.9.4, `ext/node/ops/tls_wrap.rs`).
 */
interface Handle {
  readStart(): void;
  readStop(): void;
}

/** One TCP connection. */
export class Connection {
  /** The client's address; kept here because a closed socket has none. */
  readonly address: string;
  /** The addresses and ports of both ends. */
  readonly key: string;
  readonly #socket: Socket;
  readonly #closed = new AbortController();
  #peer: Peer | null = null;
  /** Begin the answers to the requests after the current one. */
  readonly #waiting: (() => void)[] = [];
  #isAnswering = false;
  /** Whether the connection ends with the next answer. */
  isRetired = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.address = socket.remoteAddress ?? "";
    this.key = keyOf(socket);
    // Without a listener, a reset connection would end the process.
    socket.on("error", () => {});
    socket.once("close", () => this.#closed.abort());
    // Detects a client that disappears while an apply runs.
    socket.setKeepAlive(true, 30_000);
  }

  /** Aborted when the connection is closed. */
  get clientSignal(): AbortSignal {
    return this.#closed.signal;
  }

  /** Whether the client's certificate has an allowed name and is still valid. */
  get isAllowed(): boolean {
    return this.#peer !== null && this.#peer.isAllowed && this.#peer.expiresAt > Date.now();
  }

  /** Whether no request is being answered. */
  get isIdle(): boolean {
    return !this.#isAnswering;
  }

  /** Sets the client, which is known after the handshake. */
  identify(peer: Peer): void {
    this.#peer = peer;
  }

  /**
   * Calls `answer` when all earlier requests are answered. The runtime parses all that it has received;
   * so it receives nothing while requests wait.
   */
  queue(answer: () => void): void {
    this.#waiting.push(answer);
    if (this.isIdle) this.answerNext();
    else this.#handle?.readStop();
  }

  /** Begins the next answer, when the one before was sent. */
  answerNext(): void {
    const answer = this.clientSignal.aborted ? undefined : this.#waiting.shift();
    this.#isAnswering = answer !== undefined;
    if (this.#waiting.length === 0) this.#handle?.readStart();
    answer?.();
  }

  /** Closes the connection once its requests are answered. */
  retire(): void {
    this.isRetired = true;
    if (this.isIdle) this.destroy();
  }

  /** Closes the connection at once. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** The handle under the socket; null when the connection is closed. */
  get #handle(): Handle | null {
    return (this.#socket as unknown as { readonly _handle: Handle | null })._handle;
  }
}

/**
 * All open connections, up to a maximum. Past it, clients that are not allowed or not identified yet
 * are closed first: idle clients without a certificate must not keep the master out.
 */
export class Connections {
  readonly #maximum: number;
  /** By `key`, oldest first. */
  readonly #open = new Map<string, Connection>();
  readonly #secure = new WeakMap<Duplex, Connection>();

  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  /** Adds a connection that was just accepted. */
  add(socket: Socket): void {
    const connection = new Connection(socket);
    if (!connection.address || !this.#makeRoom(connection.address)) return connection.destroy();
    this.#open.set(connection.key, connection);
    socket.once("close", () => this.#remove(connection));
  }

  /** Sets the client of a TLS socket; returns false if the connection is already being closed. */
  identify(socket: Socket, peer: Peer): boolean {
    // A TLS socket has no link to its TCP socket; both have the same addresses.
    const connection = this.#open.get(keyOf(socket));
    if (!connection || connection.isRetired) return false;
    connection.identify(peer);
    this.#secure.set(socket, connection);
    return true;
  }

  /** Returns the connection of a TLS socket whose handshake is over. */
  find(socket: Duplex): Connection | undefined {
    return this.#secure.get(socket);
  }

  /** Retires all connections. */
  retire(): void {
    for (const connection of this.#open.values()) connection.retire();
  }

  /** Closes all connections at once. */
  destroy(): void {
    for (const connection of this.#open.values()) connection.destroy();
  }

  /** Makes room for a connection from `address`; returns false if no connection can be closed. */
  #makeRoom(address: string): boolean {
    if (this.#open.size < this.#maximum) return true;
    const open = [...this.#open.values()];
    const notAllowed = open.filter(({ isAllowed }) => !isAllowed);
    const evicted = oldestOfBusiestAddress(notAllowed, address) ??
      open.find(({ isIdle }) => isIdle);
    if (!evicted) return false;
    this.#remove(evicted);
    evicted.destroy();
    return true;
  }

  #remove(connection: Connection): void {
    if (this.#open.get(connection.key) === connection) this.#open.delete(connection.key);
  }
}

/** Returns the oldest connection of the address that has most, so that a flood evicts itself. */
function oldestOfBusiestAddress(
  connections: readonly Connection[],
  newAddress: string,
): Connection | undefined {
  const counts = new Map<string, number>([[newAddress, 1]]);
  for (const { address } of connections) counts.set(address, (counts.get(address) ?? 0) + 1);
  const most = Math.max(...connections.map(({ address }) => counts.get(address)!));
  return connections.find(({ address }) => counts.get(address) === most);
}

function keyOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}
