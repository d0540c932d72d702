import dns from "node:dns";
import net from "node:net";
import { HttpError } from "../host/http.ts";
import { type StepLimits, waitFor } from "../host/process.ts";

/** The master and how it proves itself. */
export interface MasterAddress {
  readonly host: string;
  readonly port: number;
  /** The name that its certificate must have; null: `host` or `swarmctl`. */
  readonly name: string | null;
  /** SHA-256 of its certificate, lower-case hex; null accepts each that the authority signed. */
  readonly fingerprint: string | null;
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
  "old-tls": () => "its TLS is older than 1.2, or does not accept its own certificate",
  "nothing-in-common": () =>
    "no TLS cipher, curve or kind of key in common; see the TLS settings and the certificate of " +
    "the master",
  "certificate-refused": (detail: string) =>
    `it refuses worker.crt: ${detail}; request a new one from the master`,
  "handshake-ended": (detail: string) => `it ended the handshake: ${detail}; see its log`,
  "not-http": () => "its answer is not HTTP; see swarmctl-port",
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

type Meanings = readonly (readonly [words: string, reason: ConnectionReason])[];

/** What the system's error codes mean. */
const codes: Meanings = [
  ["ENOTFOUND EAI_AGAIN EAI_FAIL EAI_NONAME", "unresolved-name"],
  ["ECONNREFUSED", "connection-refused"],
  ["EHOSTUNREACH ENETUNREACH", "no-route"],
  ["ECONNRESET EPIPE", "closed"],
];

/** What a server's alerts mean, by their names in the runtime's message; each ends the handshake. */
const alerts: Meanings = [
  ["HandshakeFailure InsufficientSecurity", "nothing-in-common"],
  ["ProtocolVersion", "old-tls"],
  ["BadCertificate UnsupportedCertificate CertificateRevoked", "certificate-refused"],
  ["CertificateExpired CertificateUnknown CertificateRequired", "certificate-refused"],
  ["UnknownCA AccessDenied DecryptError", "certificate-refused"],
];

function meaningOf(word: string, meanings: Meanings): ConnectionReason | undefined {
  return meanings.find(([words]) => words.split(" ").includes(word))?.[1];
}

/** Reasons that say least: they are given only if there is no other. */
const vague: readonly ConnectionReason[] = ["no-route", "timeout"];

/** Converts an error of the runtime. This is the only function that reads its messages. */
export function connectionError(cause: unknown): ConnectionError {
  if (cause instanceof ConnectionError) return cause;
  if (cause instanceof HttpError) {
    const isCut = cause.failure.reason === "answer-cut";
    return new ConnectionError(isCut ? "closed" : "not-http", "", { cause });
  }
  if (cause instanceof AggregateError && cause.errors.length > 0) {
    const all = cause.errors.map(connectionError);
    return all.find(({ reason }) => !vague.includes(reason)) ?? all[0]!;
  }
  const { name, code, message } = cause as Partial<Error> & { code?: string };
  const text = message || name || String(cause);
  const detail = code === undefined ? text : `${text} (${code})`;
  const reason = () => {
    if (name === "TimeoutError") return "timeout";
    if (text.startsWith("received corrupt message")) return "not-tls";
    if (text.includes("ServerDoesNotSupportTls12Or13")) return "old-tls";
    if (text.startsWith("peer is incompatible")) return "nothing-in-common";
    // The codes of many alerts are that of a failed handshake.
    const [, alert] = /^received fatal alert: (.+)$/.exec(text) ?? [];
    if (alert !== undefined) return meaningOf(alert, alerts) ?? "handshake-ended";
    return meaningOf(code ?? "", codes) ?? "other";
  };
  return new ConnectionError(reason(), detail, { cause });
}

/** Resolves a name or an address. Throws `ConnectionError` if it is unknown, or there is no answer. */
export async function resolveHost(host: string, limits: StepLimits): Promise<string[]> {
  const text = `the name servers have not answered within ${limits.timeoutMs / 1000} s`;
  let addresses: string[] = [];
  await waitFor(limits, new ConnectionError("other", text), ({ resolve, reject }) => {
    dns.promises.lookup(host, { all: true }).then((found) => {
      addresses = found.map(({ address }) => address);
      resolve();
    }, (error) => reject(connectionError(error)));
  });
  return addresses;
}

/** Opens a TCP connection to the master. Throws `ConnectionError`. */
export async function connectTo(
  { host, port }: Pick<MasterAddress, "host" | "port">,
  { timeoutMs, signal }: StepLimits,
): Promise<net.Socket> {
  const startedAt = performance.now();
  const addresses = await resolveHost(host, { timeoutMs, signal });
  const leftMs = timeoutMs - (performance.now() - startedAt);
  return await connectToFirst(addresses, port, { timeoutMs: leftMs, signal });
}

/** The pause before the next address is tried as well, in milliseconds. */
const nextAddressMs = 250;

/**
 * Opens a TCP connection to the first address that takes one. Tries the next after a failure or a pause,
 * and all to the end of the time: the runtime gives each 250 ms (2.9.4). Throws `ConnectionError`.
 */
export async function connectToFirst(
  addresses: readonly string[],
  port: number,
  { timeoutMs, signal }: StepLimits,
): Promise<net.Socket> {
  const sockets: net.Socket[] = [];
  const errors: unknown[] = [];
  let connected: net.Socket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new ConnectionError("no-connection", `${Math.round(timeoutMs / 100) / 10} s`);
  try {
    await waitFor({ timeoutMs, signal }, late, ({ resolve, reject }) => {
      const tryNext = () => {
        clearTimeout(timer);
        const host = addresses[sockets.length];
        if (host === undefined) return;
        const socket = net.connect({ host, port });
        sockets.push(socket);
        socket.once("connect", () => {
          connected ??= socket;
          resolve();
        });
        socket.on("error", (error) => {
          if (connected) return;
          errors.push(error);
          if (errors.length === addresses.length) reject(new AggregateError(errors));
          else tryNext();
        });
        timer = setTimeout(tryNext, nextAddressMs);
      };
      tryNext();
    });
    return connected!;
  } catch (cause) {
    throw connectionError(cause);
  } finally {
    clearTimeout(timer);
    for (const socket of sockets) if (socket !== connected) socket.destroy();
  }
}
