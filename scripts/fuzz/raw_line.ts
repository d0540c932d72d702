import { connect as connectPlainly, type Socket } from "node:net";
import { connect as connectSecurely } from "node:tls";
import type { Identity } from "../../api/tls_server.ts";

/** A connection to the API on which anything can be said. */
export class RawLine {
  /** All that was heard. */
  heard = "";
  isOver = false;
  readonly #socket: Socket;
  #onChange = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    // One character for each byte.
    socket.setEncoding("latin1");
    socket.on("error", () => {});
    socket.on("data", (part: string) => {
      this.heard += part;
      this.#onChange();
    });
    socket.on("close", () => {
      this.isOver = true;
      this.#onChange();
    });
  }

  /** Connects to a port of this host, with TLS when there is an identity. */
  static async open(port: number, identity: Identity | null): Promise<RawLine> {
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
    return new RawLine(socket);
  }

  /** Says something; a last word is followed by the end of what is said. */
  say(bytes: Uint8Array, isLast = false): void {
    if (bytes.length > 0) this.#socket.write(bytes);
    if (isLast) this.#socket.end();
  }

  /** Resolves once `condition` holds or nothing more can be heard. */
  async until(condition: () => boolean): Promise<void> {
    while (!this.isOver && !condition()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onChange = resolve;
      await promise;
    }
  }

  leave(): void {
    this.#socket.destroy();
  }
}
