import { type AddressInfo } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Authority } from "../../tests/certificates.ts";

/** Stands at the master's place, and says what it is told to whoever has sent a beat, then closes. */
export class SpeakingMaster {
  /** What the next one is told. */
  words: Uint8Array = new Uint8Array();
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on("secureConnection", (socket: TLSSocket) => this.#serve(socket));
    server.on("tlsClientError", () => {});
  }

  static async start(authority: Authority): Promise<SpeakingMaster> {
    const { certificatePem: cert, keyPem: key } = await authority.issue({
      commonName: "the master",
      dnsNames: ["master.test"],
      ipAddresses: ["127.0.0.1"],
      usage: "server",
    });
    const server = createServer({ ca: authority.certificatePem, cert, key, requestCert: true });
    const master = new SpeakingMaster(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return master;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #serve(socket: TLSSocket): void {
    socket.on("error", () => {});
    let heard = "";
    socket.on("data", (part: Uint8Array) => {
      heard += new TextDecoder("latin1").decode(part);
      if (heard.includes("\r\n\r\n{}")) socket.end(this.words);
    });
  }
}
