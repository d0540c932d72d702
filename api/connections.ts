import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Peer } from "./auth.ts";

/** Limits on what clients may use. An answer may take any time: an apply can run for minutes. */
export const defaultLimits = {
  /** Connections of clients that have shown a certificate. */
  maximumConnections: 16,
  /** Connections whose handshake is not over. */
  maximumHandshakes: 256,
  /** Bytes of a request's line and headers. */
  maximumHeaderBytes: 16 * 1024,
  maximumBodyBytes: 8 * 2 ** 20,
  /** From the TCP connection to the end of the TLS handshake, in milliseconds. */
  handshakeTimeoutMs: 5_000,
  /** From the handshake, or a request's first byte, to the end of its headers, in milliseconds. */
  headerTimeoutMs: 5_000,
  /** For a request's body, in milliseconds. */
  bodyTimeoutMs: 60_000,
  /** How long a connection is kept between two requests, in milliseconds. */
  idleTimeoutMs: 60_000,
  /** How long `stop()` waits for answers, in milliseconds. */
  stopTimeoutMs: 1_000,
};

/** Limits in the form of `defaultLimits`. */
export type Limits = Readonly<typeof defaultLimits>;

/** One TCP connection. */
export class Connection {
  /** The client's address; kept here because a closed socket has none. */
  readonly address: string;
  /** The addresses and ports of both ends. */
  readonly key: string;
  readonly #socket: Socket;
  readonly #closed = new AbortController();
  /** The client; null until the handshake is over. */
  peer: Peer | null = null;
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
    return this.peer !== null && this.peer.isAllowed && this.peer.expiresAt > Date.now();
  }

  /** Whether no request is being answered. */
  get isIdle(): boolean {
    return !this.#isAnswering;
  }

  /** Calls `answer` after earlier requests; receives nothing meanwhile, as the runtime would parse it. */
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

  /** Not public: pausing a TLS socket bounds nothing (2.9.4, `ext/node/ops/tls_wrap.rs`). */
  get #handle(): { readStart(): void; readStop(): void } | null {
    return Reflect.get(this.#socket, "_handle");
  }
}

/** File descriptors for the rest of the agent, and for 128 connections that were just accepted. */
const reservedDescriptors = 192;
const minimumHandshakes = 16;

/** Returns how many handshakes may be open; tries it out, as the runtime refuses to read the limit. */
export function affordableHandshakes({ maximumHandshakes, maximumConnections }: Limits): number {
  const others = maximumConnections + reservedDescriptors;
  const files: Deno.FsFile[] = [];
  try {
    while (files.length < maximumHandshakes + others) files.push(Deno.openSync("/dev/null"));
  } catch {
    // There are no more.
  } finally {
    for (const file of files) file.close();
  }
  return Math.max(minimumHandshakes, files.length - others);
}

/** All open connections; those without a certificate count apart, and take no place of the others. */
export class Connections {
  /** By `key`, oldest first. */
  readonly #handshakes = new Map<string, Connection>();
  /** Oldest first. */
  readonly #identified = new Set<Connection>();
  readonly #secure = new WeakMap<Duplex, Connection>();
  /** Where clients that may call have called from last, the latest at the end. */
  readonly #callers = new Set<string>();

  constructor(readonly maximum: number, readonly maximumHandshakes: number) {}

  /** Adds a connection that was just accepted. */
  add(socket: Socket): void {
    const connection = new Connection(socket);
    if (!connection.address) return connection.destroy();
    if (this.#handshakes.size >= this.maximumHandshakes) this.#evictHandshake(connection.address);
    this.#handshakes.set(connection.key, connection);
    socket.once("close", () => this.#remove(connection));
  }

  /** Sets the client of a TLS socket; returns false if the connection must be closed. */
  identify(socket: Socket, peer: Peer): boolean {
    // A TLS socket has no link to its TCP socket; both have the same addresses.
    const connection = this.#handshakes.get(keyOf(socket));
    if (!connection || connection.isRetired || !this.#makeRoom(connection, peer)) return false;
    connection.peer = peer;
    this.#handshakes.delete(connection.key);
    this.#identified.add(connection);
    this.#secure.set(socket, connection);
    if (peer.isAllowed) this.#rememberCaller(connection.address);
    return true;
  }

  /** Returns the connection of a TLS socket whose handshake is over. */
  find(socket: Duplex): Connection | undefined {
    return this.#secure.get(socket);
  }

  /** Retires all connections. */
  retire(): void {
    for (const connection of this.#all()) connection.retire();
  }

  /** Closes all connections at once. */
  destroy(): void {
    for (const connection of this.#all()) connection.destroy();
  }

  #all(): Connection[] {
    return [...this.#handshakes.values(), ...this.#identified];
  }

  /** Makes room for one more handshake: evicts none of a caller, if there are others. */
  #evictHandshake(newAddress: string): void {
    const all = [...this.#handshakes.values()];
    const strangers = all.filter(({ address }) => !this.#callers.has(address));
    this.#evict(oldestOfBusiestAddress(strangers, newAddress) ?? all[0]!);
  }

  /** Makes room for a client with a certificate; returns false if no connection can be closed. */
  #makeRoom({ address }: Connection, { isAllowed }: Peer): boolean {
    if (this.#identified.size < this.maximum) return true;
    const identified = [...this.#identified];
    const notAllowed = identified.filter((it) => !it.isAllowed);
    const evicted = oldestOfBusiestAddress(notAllowed, address) ??
      (isAllowed ? identified.find(({ isIdle }) => isIdle) : undefined);
    if (evicted) this.#evict(evicted);
    return evicted !== undefined;
  }

  #rememberCaller(address: string): void {
    this.#callers.delete(address);
    this.#callers.add(address);
    const [oldest] = this.#callers;
    if (this.#callers.size > this.maximum) this.#callers.delete(oldest!);
  }

  #evict(connection: Connection): void {
    this.#remove(connection);
    connection.destroy();
  }

  #remove(connection: Connection): void {
    this.#identified.delete(connection);
    if (this.#handshakes.get(connection.key) === connection) {
      this.#handshakes.delete(connection.key);
    }
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
