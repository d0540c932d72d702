import type * as Https from "node:https";
import type { RequestOptions } from "node:https";
import type * as Net from "node:net";
import type { Duplex } from "node:stream";
import type * as Tls from "node:tls";

/** The master and how it proves itself. */
export interface MasterAddress {
  readonly host: string;
  readonly port: number;
  /** The name that its certificate must have. */
  readonly name: string;
  /** SHA-256 of its certificate, lower-case hex; null accepts every one that the authority signed. */
  readonly fingerprint: string | null;
}

/** Formats the master's address as in a URL. */
export function hostAndPort({ host, port }: Pick<MasterAddress, "host" | "port">): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** `detail` is the time that has passed, or what the system says. */
const reasonTexts = {
  "unresolved-name": () =>
    "its name cannot be resolved; see master-host, and this host's name servers",
  "no-connection": (detail: string) =>
    `no connection within ${detail}; see master-host, and what filters packets between`,
  "connection-refused": () => "connection refused; start it, or see swarmctl-port",
  "no-route": () => "no route to host; see master-host, and this host's routes",
  "not-tls": () => "it does not speak TLS on that port; see swarmctl-port",
  "old-tls": () => "its TLS is older than 1.2",
  "certificate-refused": (detail: string) =>
    `it refuses worker.crt: ${detail}; request a new one from the master`,
  "closed": () => closedText,
  "closed-after-handshake": () => closedText,
  "no-reply": (detail: string) => `no answer within ${detail}; see what holds up the master`,
  "timeout": () => "no answer in time",
  "other": (detail: string) => detail,
};
const closedText = "it closed the connection before it answered; it may not accept worker.crt";

/** Why the master was not reached, or gave no answer. */
export type ConnectionReason = keyof typeof reasonTexts;

/** A connection to the master that failed. The message is written for an operator. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";

  constructor(readonly reason: ConnectionReason, detail = "", options?: ErrorOptions) {
    super(reasonTexts[reason](detail), options);
  }
}

const reasons: ReadonlyMap<string | undefined, ConnectionReason> = new Map([
  ["ENOTFOUND", "unresolved-name"],
  ["EAI_AGAIN", "unresolved-name"],
  ["EAI_FAIL", "unresolved-name"],
  ["EAI_NONAME", "unresolved-name"],
  ["ECONNREFUSED", "connection-refused"],
  ["EHOSTUNREACH", "no-route"],
  ["ENETUNREACH", "no-route"],
  ["ECONNRESET", "closed"],
  ["EPIPE", "closed"],
]);

/** Reads the reason from what the runtime has thrown: the one place that looks at its messages. */
export function connectionError(cause: unknown): ConnectionError {
  if (cause instanceof ConnectionError) return cause;
  const { name, code, message = String(cause) } = cause as Partial<Error> & { code?: string };
  const detail = code === undefined ? message : `${message} (${code})`;
  const reason = () => {
    if (name === "TimeoutError") return "timeout";
    if (message.includes("InvalidContentType")) return "not-tls";
    if (code?.includes("PROTOCOL_VERSION")) return "old-tls";
    if (code?.includes("_ALERT_")) return "certificate-refused";
    return reasons.get(code) ?? "other";
  };
  return new ConnectionError(reason(), detail, { cause });
}

/** What TLS is made of; loaded late, as a host without a master starts faster without it. */
export interface TlsModules {
  readonly https: typeof Https;
  readonly net: typeof Net;
  readonly tls: typeof Tls;
}

/** Loads what TLS is made of. */
export async function loadTls(): Promise<TlsModules> {
  const [https, net, tls] = await Promise.all([
    import("node:https"),
    import("node:net"),
    import("node:tls"),
  ]);
  return { https, net, tls };
}

type CreateConnection = (
  options: RequestOptions,
  callback: (error: Error | null, socket: Duplex) => void,
) => void;

/** A TCP connection that takes longer is given up; the request itself has given up by then. */
const connectTimeoutMs = 5_000;

/**
 * Makes an agent that keeps one connection, which starts as TCP alone: the runtime never frees a TLS
 * socket whose TCP connection fails, 20 KB at a time (bench/transport.ts), so a master that is down
 * for a month would cost hundreds of MB.
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

/** Bounds of one step of a connection. */
export interface StepLimits {
  /** In milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Opens a TCP connection to the master. Throws `ConnectionError`. */
export async function connectTo(
  { host, port }: Pick<MasterAddress, "host" | "port">,
  { timeoutMs, signal }: StepLimits,
): Promise<Net.Socket> {
  const net = await import("node:net");
  const tcp = net.connect({ host, port });
  try {
    const late = new ConnectionError("other", `no connection within ${timeoutMs / 1000} s`);
    await waitFor({ timeoutMs, signal }, late, ({ resolve, reject }) => {
      tcp.once("connect", resolve).on("error", reject);
    });
    return tcp;
  } catch (cause) {
    tcp.destroy();
    throw connectionError(cause);
  }
}

/** Waits for what `begin` starts; past the time it throws `late`, or returns where that is null. */
export async function waitFor(
  { timeoutMs, signal }: StepLimits,
  late: ConnectionError | null,
  begin: (ends: { resolve: () => void; reject: (error: unknown) => void }) => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => late === null ? resolve() : reject(late), timeoutMs);
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    begin({ resolve, reject });
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}
