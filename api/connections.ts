import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Peer } from "./peer.ts";

/** One TCP connection, from its first moment on. */
export class Connection {
  /** The other end's, which the socket forgets when it is closed. */
  readonly address: string;
  readonly #socket: Socket;
  readonly #gone = new AbortController();
  #peer: Peer | null = null;
  #requests = 0;
  #isRetired = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.address = socket.remoteAddress ?? "";
    // Without a listener, a reset connection would end the process.
    socket.on("error", () => {});
    socket.once("close", () => this.#gone.abort());
    // An answer may take ten minutes, in which nothing is sent; this finds out that nobody waits.
    socket.setKeepAlive(true, 30_000);
  }

  /** Aborted when the connection is gone. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Whether its certificate may call, and still holds. */
  get isAllowed(): boolean {
    return this.#peer !== null && this.#peer.isAllowed && this.#peer.expiresAt > Date.now();
  }

  /** Whether no request is being answered. */
  get isIdle(): boolean {
    return this.#requests === 0;
  }

  /** Whether it ends with the next answer. */
  get isRetired(): boolean {
    return this.#isRetired;
  }

  /** The handshake has told who this is. */
  identify(peer: Peer): void {
    this.#peer = peer;
  }

  /** A request has come. */
  begin(): void {
    this.#requests++;
  }

  /** It has been answered. */
  end(): void {
    this.#requests--;
  }

  /** Lets it end: at once, or with the answers that are due. */
  retire(): void {
    this.#isRetired = true;
    if (this.isIdle) this.destroy();
  }

  /** Ends it at once. */
  destroy(): void {
    this.#socket.destroy();
  }
}

/**
 * All open connections, up to a maximum. Whoever may not call, or has not said yet who it is, gives
 * way to what comes later: else a neighbour without a certificate could keep the master out by doing
 * nothing.
 */
export class Connections {
  readonly #maximum: number;
  /** Oldest first, by both ends. */
  readonly #open = new Map<string, Connection>();
  readonly #secure = new WeakMap<Duplex, Connection>();

  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  /** Takes a connection that was just accepted. */
  add(socket: Socket): void {
    const key = keyOf(socket);
    const connection = new Connection(socket);
    if (!connection.address || !this.#makeRoom(connection.address)) return connection.destroy();
    this.#open.set(key, connection);
    socket.once("close", () => this.#remove(key, connection));
  }

  /** Notes whom a handshake has shown; answers false when the connection is to end anyway. */
  identify(socket: Socket, peer: Peer): boolean {
    // A TLS socket does not tell which connection carries it.
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

  /** Lets all of them end, see `Connection.retire`. */
  retire(): void {
    for (const connection of this.#open.values()) connection.retire();
  }

  /** Ends all of them at once. */
  destroy(): void {
    for (const connection of this.#open.values()) connection.destroy();
  }

  /** Answers whether there is room for one more. */
  #makeRoom(newcomer: string): boolean {
    if (this.#open.size < this.#maximum) return true;
    const all = [...this.#open];
    const strangers = all.filter(([, { isAllowed }]) => !isAllowed);
    const [key, victim] = oldestOfMost(strangers, newcomer) ??
      all.find(([, { isIdle }]) => isIdle) ?? [];
    if (key === undefined || !victim) return false;
    this.#remove(key, victim);
    victim.destroy();
    return true;
  }

  #remove(key: string, connection: Connection): void {
    if (this.#open.get(key) === connection) this.#open.delete(key);
  }
}

type Entry = [key: string, connection: Connection];

/** The oldest of the address that holds most of them, so that one that floods evicts itself. */
function oldestOfMost(entries: readonly Entry[], newcomer: string): Entry | undefined {
  const counts = new Map<string, number>([[newcomer, 1]]);
  for (const [, { address }] of entries) counts.set(address, (counts.get(address) ?? 0) + 1);
  let most: Entry | undefined;
  for (const entry of entries) {
    const count = (it: Entry) => counts.get(it[1].address) ?? 0;
    if (!most || count(entry) > count(most)) most = entry;
  }
  return most;
}

function keyOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}
