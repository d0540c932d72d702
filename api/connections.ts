import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";

/** How much a client may take, and for how long. */
export interface Limits {
  /** TCP connections at once. */
  readonly maximumConnections: number;
  /** Bytes of a request's line and headers. */
  readonly maximumHeaderBytes: number;
  readonly maximumBodyBytes: number;
  /** Until the TLS handshake is over, in milliseconds from the TCP connection on. */
  readonly handshakeTimeoutMs: number;
  /** For a request's line and headers, in milliseconds from the handshake or their first byte on. */
  readonly headerTimeoutMs: number;
  /** For a request's body, in milliseconds. */
  readonly bodyTimeoutMs: number;
  /** How long a connection is kept between two requests, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** How long a stop waits for the answers that are due, in milliseconds. */
  readonly stopTimeoutMs: number;
}

/** The bounds that hold unless a test sets others. There is none for how long an answer takes. */
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

/** Past so many, all are forgotten; a client then makes a full handshake. */
const maximumRemembered = 1000;

/** Who is at the other end of a connection. */
interface Peer {
  /** Whether its certificate bears an allowed name. */
  readonly isAllowed: boolean;
  /** When its certificate expires, in milliseconds since 1970. */
  readonly expiresAt: number;
}

/**
 * Tells who may call.
 *
 * The runtime keeps one ticket key for all servers of the process and does not verify the certificate
 * of a session that is resumed: whoever was let in under an older ca.crt would be let in for ever. It
 * offers no way to turn that off. So a resumed session counts for as much as its certificate did in a
 * full handshake under today's ca.crt.
 */
export class ClientVerifier {
  readonly #allowedNames: ReadonlySet<string>;
  /** PEM without line breaks. */
  #authority = "";
  /** Fingerprints of certificates that were verified in a full handshake. */
  readonly #verified = new Set<string>();

  constructor(allowedNames: readonly string[]) {
    this.#allowedNames = new Set(allowedNames);
  }

  /**
   * From now on `pem` is what verifies. Answers whether it is another one than before; what that one
   * verified is then forgotten.
   */
  trust(pem: string): boolean {
    const authority = pem.replace(/\s+/g, "");
    if (authority === this.#authority) return false;
    this.#authority = authority;
    this.#verified.clear();
    return true;
  }

  /** Who has just connected, or null when that is nobody to talk to. */
  identify(socket: TLSSocket): Peer | null {
    if (!socket.authorized) return null;
    const { subject, raw, fingerprint256, valid_to } = socket.getPeerCertificate();
    const expiresAt = Date.parse(valid_to);
    if (!(expiresAt > Date.now())) return null;
    if (socket.isSessionReused()) {
      if (!this.#verified.has(fingerprint256)) return null;
    } else {
      // An authority's own certificate is public, and the runtime takes one of version 1 from a
      // client without a proof that it has the key.
      if (this.#authority.includes(raw.toBase64())) return null;
      if (this.#verified.size >= maximumRemembered) this.#verified.clear();
      this.#verified.add(fingerprint256);
    }
    // Of several names, which are a list, one could be anybody's.
    const name: unknown = subject?.CN;
    return { isAllowed: typeof name === "string" && this.#allowedNames.has(name), expiresAt };
  }
}

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
    const unmanaged = all.filter(([, { isAllowed }]) => !isAllowed);
    const [key, victim] = oldestOfMost(unmanaged, newcomer) ??
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
