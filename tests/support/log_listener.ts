import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Authority } from "./certificates.ts";
import { type ServerOptions, TlsServer } from "./tls_server.ts";

/** The most digits of a frame's count. */
const maximumDigits = 10;

/**
 * Reads octet-counted frames as the master's listener does: counts with leading zeros and frames of no
 * bytes are fine, anything else between frames ends the connection, half a frame at the end is dropped.
 */
export class FrameReader {
  #rest = new Uint8Array(0);
  readonly #onFrame: (frame: Uint8Array) => void;

  constructor(onFrame: (frame: Uint8Array) => void) {
    this.#onFrame = onFrame;
  }

  /** Reads more; returns false when the listener closes the connection. */
  read(bytes: Uint8Array): boolean {
    const joined = new Uint8Array(this.#rest.length + bytes.length);
    joined.set(this.#rest);
    joined.set(bytes, this.#rest.length);
    let at = 0;
    for (;;) {
      let end = at;
      while (end < joined.length && end - at <= maximumDigits && isDigit(joined[end]!)) end++;
      if (end - at > maximumDigits) return false;
      if (end === joined.length) break;
      if (end === at || joined[end] !== 0x20) return false;
      const length = Number(new TextDecoder().decode(joined.subarray(at, end)));
      if (joined.length < end + 1 + length) break;
      if (length > 0) this.#onFrame(joined.subarray(end + 1, end + 1 + length));
      at = end + 1 + length;
    }
    this.#rest = joined.slice(at);
    return true;
  }
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** What a listener is started with; it makes a certificate as the master does, unless one is given. */
interface LogListenerOptions extends Omit<ServerOptions, "certificate"> {
  authority: Authority;
  certificate?: ServerOptions["certificate"];
}

/** A stand-in for the master's listener for log lines: octet-counted frames, never a byte in return. */
export class LogListener extends TlsServer {
  /** The text of each frame; bytes that are not UTF-8 are U+FFFD, as in the master's file. */
  readonly lines: string[] = [];
  /** How many connections have passed the handshake, and how many are open. */
  connectionCount = 0;
  openConnections = 0;
  /** How many connections it has closed for what they sent. */
  malformedCount = 0;
  /** The common name of the last client. */
  clientName = "";
  /** It closes each connection after the handshake, as for a certificate that it does not accept. */
  refuses = false;
  /** When it does, after the handshake; until then it reads, and keeps nothing. */
  refusesAfterMs = 0;
  /** It closes the next connection when it has read so many bytes of it, wherever that is. */
  bytesToCut: number | null = null;

  private constructor(server: Server) {
    super(server);
    server.on("secureConnection", (socket: TLSSocket) => this.#serve(socket));
  }

  /** Starts a listener; throws when the port is taken. */
  static async start(
    { authority, certificate, ...rest }: LogListenerOptions,
  ): Promise<LogListener> {
    const names = { commonName: "decnet-master", dnsNames: ["decnet-master"] };
    certificate ??= await authority.issue({ ...names, usage: "server" });
    const server = createServer(this.optionsOf({ authority, certificate }));
    return await new LogListener(server).listen(rest);
  }

  #serve(socket: TLSSocket): void {
    this.connectionCount++;
    this.openConnections++;
    socket.on("close", () => {
      this.openConnections--;
    });
    const name: unknown = socket.getPeerCertificate()?.subject?.CN;
    this.clientName = typeof name === "string" ? name : "";
    if (this.refuses || this.clientName === "" || this.clientName === "unknown") {
      socket.resume();
      setTimeout(() => socket.end(), this.refusesAfterMs);
      return;
    }
    const decoder = new TextDecoder();
    const reader = new FrameReader((frame) => this.lines.push(decoder.decode(frame)));
    let left = this.bytesToCut ?? Infinity;
    this.bytesToCut = null;
    socket.on("data", (bytes: Uint8Array) => {
      const isSound = reader.read(bytes.subarray(0, left));
      left -= bytes.length;
      if (!isSound) this.malformedCount++;
      if (!isSound || left <= 0) socket.destroy();
    });
  }
}
