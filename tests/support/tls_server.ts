import type { AddressInfo, Socket } from "node:net";
import type { Server, TlsOptions } from "node:tls";
import type { Authority, IssuedCertificate } from "./certificates.ts";

/** What a stand-in is started with: 127.0.0.1 and a free port (0), unless others are given. */
export interface ServerOptions {
  authority: Pick<Authority, "certificatePem">;
  certificate: IssuedCertificate;
  host?: string;
  port?: number;
}

/** A stand-in for a server of the master: real TLS that demands client certificates. */
export class TlsServer implements AsyncDisposable {
  readonly #sockets = new Set<Socket>();
  #place: { host: string; port: number } | null = null;

  protected constructor(protected readonly server: Server) {
    for (const event of ["connection", "secureConnection"]) {
      server.on(event, (socket: Socket) => this.#track(socket));
    }
  }

  /** What the master's servers have in common. */
  protected static optionsOf({ authority, certificate }: ServerOptions): TlsOptions {
    return {
      ca: authority.certificatePem,
      cert: certificate.certificatePem,
      key: certificate.keyPem,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
    };
  }

  /** Listens, after `stop()` in the same place as before; throws when the port is taken. */
  async listen({ host = "127.0.0.1", port = 0 }: Partial<ServerOptions> = {}): Promise<this> {
    this.#place ??= { host, port };
    await new Promise<void>((resolve, reject) => {
      this.server.once("error", reject).listen(this.#place, () => {
        this.server.off("error", reject);
        resolve();
      });
    });
    this.#place.port = this.port;
    return this;
  }

  /** The port it listens on. */
  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Closes the port and every connection at once. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.cut();
    await closed;
  }

  /** Closes every connection at once. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Same as {@linkcode stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }
}
