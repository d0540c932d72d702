import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Peer } from "./auth.ts";

/** How much a client may use, and for how long. */
export interface Limits {
  /** TCP connections at once. */
  readonly maximumConnections: number;
  /** Bytes of a request's line and headers. */
  readonly maximumHeaderBytes: number;
  readonly maximumBodyBytes: number;
  /** For the TLS handshake, in milliseconds from the TCP connection on. */
  readonly handshakeTimeoutMs: number;
  /** For a request's line and headers, in milliseconds from the handshake or their first byte on. */
  readonly headerTimeoutMs: number;
  /** For a request's body, in milliseconds. */
  readonly bodyTimeoutMs: number;
  /** How long a connection is kept between two requests, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** How long a stop waits for answers, in milliseconds. */
  readonly stopTimeoutMs: number;
}

/** The limits outside of tests. There is none for how long an answer takes. */
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

/** One TCP connection. */
export class Connection {
  /** The client's address, which the socket forgets when it is closed. */
  readonly address: string;
  readonly #socket: Socket;
  readonly #closed = new AbortController();
  #peer: Peer | null = null;
  #requests = 0;
  #isRetired = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.address = socket.remoteAddress ?? "";
    // Without a listener, a reset connection would end the process.
    socket.on("error", () => {});
    socket.once("close", () => this.#closed.abort());
    // Finds out that a client is gone while an answer of ten minutes is prepared.
    socket.setKeepAlive(true, 30_000);
  }

  /** Aborted when the connection is closed. */
  get clientSignal(): AbortSignal {
    return this.#closed.signal;
  }

  /** Whether its certificate may call and is still valid. */
  get isAllowed(): boolean {
    return this.#peer !== null && this.#peer.isAllowed && this.#peer.expiresAt > Date.now();
  }

  /** Whether no request is being answered. */
  get isIdle(): boolean {
    return this.#requests === 0;
  }

  /** Whether the connection ends with the next answer. */
  get isRetired(): boolean {
    return this.#isRetired;
  }

  /** Sets the client that the handshake has shown. */
  identify(peer: Peer): void {
    this.#peer = peer;
  }

  /** Counts a request that has come. */
  begin(): void {
    this.#requests++;
  }

  /** Counts a request that is answered. */
  end(): void {
    this.#requests--;
  }

  /** Closes the connection, after the answers that are being prepared. */
  retire(): void {
    this.#isRetired = true;
    if (this.isIdle) this.destroy();
  }

  /** Closes the connection at once. */
  destroy(): void {
    this.#socket.destroy();
  }
}

/**
 * All open connections, up to a maximum. Clients that may not call, or are not identified yet, are
 * closed first: otherwise a client without a certificate could keep the master out by doing nothing.
 */
export class Connections {
  readonly #maximum: number;
  /** Oldest first, by both ends. */
  readonly #open = new Map<string, Connection>();
  readonly #secure = new WeakMap<Duplex, Connection>();

  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  /** Adds a connection that was just accepted. */
  add(socket: Socket): void {
    const key = keyOf(socket);
    const connection = new Connection(socket);
    if (!connection.address || !this.#makeRoom(connection.address)) return connection.destroy();
    this.#open.set(key, connection);
    socket.once("close", () => this.#remove(key, connection));
  }

  /** Sets the client of a TLS socket; returns false when the connection is to end anyway. */
  identify(socket: Socket, peer: Peer): boolean {
    // A TLS socket does not name the connection that carries it; its addresses do.
    const connection = this.#open.get(keyOf(socket));
    if (!connection || connection.isRetired) return false;
    connection.identify(peer);
    this.#secure.set(socket, connection);
    return true;
  }

  /** The connection of a TLS socket whose handshake is over. */
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

  /** Closes a connection where there is no room for one from `address`; returns whether there is. */
  #makeRoom(address: string): boolean {
    if (this.#open.size < this.#maximum) return true;
    const entries = [...this.#open];
    const notAllowed = entries.filter(([, { isAllowed }]) => !isAllowed);
    const entry = oldestOfMost(notAllowed, address) ?? entries.find(([, { isIdle }]) => isIdle);
    if (!entry) return false;
    this.#remove(...entry);
    entry[1].destroy();
    return true;
  }

  #remove(key: string, connection: Connection): void {
    if (this.#open.get(key) === connection) this.#open.delete(key);
  }
}

type Entry = [key: string, connection: Connection];

/** The oldest entry of the address that has most of them, so that a flood evicts itself. */
function oldestOfMost(entries: readonly Entry[], newAddress: string): Entry | undefined {
  const counts = new Map<string, number>([[newAddress, 1]]);
  for (const [, { address }] of entries) counts.set(address, (counts.get(address) ?? 0) + 1);
  const countOf = ([, { address }]: Entry) => counts.get(address)!;
  const most = Math.max(...entries.map(countOf));
  return entries.find((entry) => countOf(entry) === most);
}

function keyOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}
