import type { AddressInfo, Server, Socket } from "node:net";

/** A server that sends prepared bytes on each connection, then ends it. */
export class ScriptedServer implements AsyncDisposable {
  /** The bytes that the next connection gets. */
  reply: Uint8Array = new Uint8Array();
  readonly #server: Server;

  /** `event` is that of a new connection; the reply is sent when `isRequest` holds of all received. */
  private constructor(server: Server, event: string, isRequest: (received: string) => boolean) {
    this.#server = server;
    server.on("tlsClientError", () => {});
    server.on(event, (socket: Socket) => {
      let received = "";
      socket.setEncoding("latin1").on("error", () => {}).on("data", (part) => {
        received += part;
        if (!socket.writableEnded && isRequest(received)) socket.end(this.reply);
      });
    });
  }

  /** Listens on a socket's path. Replies to the first bytes. */
  static async onPath(server: Server, path: string): Promise<ScriptedServer> {
    const scripted = new ScriptedServer(server, "connection", () => true);
    await new Promise<void>((resolve) => server.listen(path, resolve));
    return scripted;
  }

  /** Listens with TLS on a free port of this host. Replies to a request with the body `{}`. */
  static async onTls(server: Server): Promise<ScriptedServer> {
    const isRequest = (received: string) => received.includes("\r\n\r\n{}");
    const scripted = new ScriptedServer(server, "secureConnection", isRequest);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return scripted;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
