import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { refuseMalformed } from "../../api/answer.ts";
import { defaultBounds } from "../../api/bounds.ts";
import { Connection } from "../../api/connections.ts";
import { handle } from "../../api/handler.ts";
import { ApiServer, type ApiService } from "../../api/mod.ts";
import type { Identity } from "../../api/tls_server.ts";
import { Turns } from "../../api/turns.ts";
import type { Log } from "../../host/mod.ts";
import { agentIdentity } from "../../tests/api_setup.ts";

/** Both ways in: the listener as it is, and what answers behind it without TLS, which is faster. */
export interface Listeners extends AsyncDisposable {
  readonly securePort: number;
  readonly plainPort: number;
}

/** Listens on two free ports of this host. */
export async function listen(service: ApiService, log: Log): Promise<Listeners> {
  const identity: Identity = await agentIdentity("the agent");
  const certificates = { ...identity, ...validity };
  const secure = await ApiServer.start(service, {
    host: "127.0.0.1",
    port: 0,
    allowedNames: ["decnet-master"],
    certificates: () => Promise.resolve({ certificates, problem: null }),
    log,
  });
  const plain = createServer({
    maxHeaderSize: defaultBounds.maximumHeaderBytes,
    requireHostHeader: false,
    requestTimeout: 0,
  });
  const connections = new WeakMap<object, Connection>();
  const options = { service, turns: new Turns(), bounds: defaultBounds, log };
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const connection = connections.get(request.socket)!;
    connection.begin();
    response.once("close", () => connection.end());
    handle(request, response, connection, options);
  };
  plain
    .on("connection", (socket) => {
      const connection = new Connection(socket);
      connection.identify({ isAllowed: true, expiresAt: Infinity });
      connections.set(socket, connection);
    })
    .on("request", answer).on("checkContinue", answer).on("checkExpectation", answer)
    .on("clientError", (error, socket) => {
      if (connections.get(socket)?.isIdle) refuseMalformed(error, socket);
      else socket.destroy();
    });
  await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
  return {
    securePort: secure.port,
    plainPort: (plain.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      await secure.stop();
      plain.closeAllConnections();
      await new Promise<void>((resolve) => plain.close(() => resolve()));
    },
  };
}

const validity = { validFrom: { at: 0, file: "" }, validTo: { at: Infinity, file: "" } };
