import type * as Https from "node:https";
import type { RequestOptions } from "node:https";
import type * as Net from "node:net";
import type { Duplex } from "node:stream";
import type * as Tls from "node:tls";

/** The master and how it proves itself. */
export interface MasterAddress {
  readonly host: string;
  readonly port: number;
  /** The name its certificate must bear. */
  readonly name: string;
  /** SHA-256 of its certificate, lower-case hex; null accepts every one that the authority signed. */
  readonly fingerprint: string | null;
}

/** The master's address as it stands in a URL. */
export function hostAndPort({ host, port }: Pick<MasterAddress, "host" | "port">): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The master's authority is the right one, and yet it is not the master that is wanted. */
export class PeerMismatchError extends Error {
  override readonly name = "WrongPeer";

  /** `presented` is what its certificate bears in place of what is wanted. */
  constructor(
    message: string,
    readonly wanted: "name" | "fingerprint",
    readonly presented: string,
  ) {
    super(message);
  }
}

/** Whether a master whose chain was verified bears the right name and is the pinned one. */
export function checkPeer(
  { name, fingerprint: pinned }: MasterAddress,
  peer: Tls.PeerCertificate,
  tls: Pick<typeof Tls, "checkServerIdentity">,
): PeerMismatchError | undefined {
  if (tls.checkServerIdentity(name, peer)) {
    const borne = peer.subjectaltname || `CN:${peer.subject?.CN}`;
    const message =
      `its certificate does not bear the name ${name}, but ${borne}; master-name tells the name`;
    return new PeerMismatchError(message, "name", borne);
  }
  const fingerprint = peer.fingerprint256.replaceAll(":", "").toLowerCase();
  if (pinned === null || pinned === fingerprint) return;
  const message =
    `its certificate is not the pinned one, but has the fingerprint ${fingerprint}; ` +
    "master-fingerprint tells the pinned one";
  return new PeerMismatchError(message, "fingerprint", fingerprint);
}

/** What TLS is made of; loaded late, as a host without a master starts faster without it. */
export interface TlsModules {
  readonly https: typeof Https;
  readonly net: typeof Net;
  readonly tls: typeof Tls;
}

type CreateConnection = (
  options: RequestOptions,
  callback: (error: Error | null, socket: Duplex) => void,
) => void;

/** A TCP connection that takes longer is given up; the request itself has given up by then. */
const connectTimeoutMs = 5_000;

/**
 * An agent that keeps one connection, which starts as TCP alone. A TLS socket whose TCP connection
 * fails is never freed by the runtime, 20 KB at a time: a master that is down for a month would cost
 * hundreds of MB (bench/transport.ts).
 */
export function createAgent({ https, net, tls }: TlsModules): Https.Agent {
  // Without `proxyEnv` a proxy would be taken from the environment, whatever the permissions are.
  const options = { keepAlive: true, maxSockets: 1, proxyEnv: {} };
  const agent = new https.Agent(options);
  const connect: CreateConnection = (options, callback) => {
    const { host, port } = options as Net.TcpNetConnectOpts;
    const tcp = net.connect({ host: host!, port });
    tcp.setTimeout(connectTimeoutMs, () => tcp.destroy(new Error("no connection")));
    const fail = (error: Error) => callback(error, tcp);
    tcp.once("error", fail);
    tcp.once("connect", () => {
      tcp.setTimeout(0);
      tcp.off("error", fail);
      callback(null, tls.connect({ ...(options as Tls.ConnectionOptions), socket: tcp }));
    });
  };
  // The types do not know that the socket may come later, by the callback.
  agent.createConnection = connect as unknown as typeof agent.createConnection;
  return agent;
}
