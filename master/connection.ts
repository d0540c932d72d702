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
  /** SHA-256 of its certificate, lower-case hex; null accepts each that the authority signed. */
  readonly fingerprint: string | null;
}

/** Formats the master's address as in a URL. */
export function hostAndPort({ host, port }: Pick<MasterAddress, "host" | "port">): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The text of each reason; `detail` is a time or a message of the system. */
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

/** Converts an error of the runtime. This is the only function that reads its messages. */
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

/** The modules for TLS; loaded lazily, because a host without a master does not need them. */
export interface TlsModules {
  readonly https: typeof Https;
  readonly net: typeof Net;
  readonly tls: typeof Tls;
}

/** Loads the modules for TLS. */
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

/** Closes a TCP connection that takes longer, in milliseconds; the request has failed by then. */
const connectTimeoutMs = 5_000;

/**
 * Creates an agent that keeps one connection. Connects TCP first and starts TLS on it: the runtime
 * leaks 20 KB for each TLS socket whose TCP connection fails (bench/transport.ts), which adds up to
 * hundreds of MB when a master is down for a month.
 */
export function createAgent({ https, net, tls }: TlsModules): Https.Agent {
  // An empty `proxyEnv` keeps the runtime from using a proxy of the environment.
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
  // The types lack the form that returns the socket by the callback.
  agent.createConnection = connect as unknown as typeof agent.createConnection;
  return agent;
}

/**
 * Resolves the master's name to its addresses; an address resolves to itself. Throws `ConnectionError`
 * when the name servers do not know it, or do not answer in time.
 */
export async function resolveHost(host: string, timeoutMs: number): Promise<string[]> {
  const { promises } = await import("node:dns");
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const text = `the name servers have not answered within ${timeoutMs / 1000} s`;
    late.reject(new ConnectionError("other", text));
  }, timeoutMs);
  const found = promises.lookup(host, { all: true }).then(
    (list) => list.map(({ address }) => address),
    (cause) => {
      throw new ConnectionError("other", "its name cannot be resolved", { cause });
    },
  );
  return await Promise.race([found, late.promise]).finally(() => clearTimeout(timer));
}

/** Limits of one step of a connection. */
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

/** Waits until `begin` resolves or rejects. After the time, throws `late`, or returns if it is null. */
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
