import type * as Net from "node:net";
import type * as Tls from "node:tls";
import type { Certificates } from "./certificates.ts";
import { checkPeer, type MasterAddress, PeerMismatchError } from "./connection.ts";
import { diagnoseTrustFailure, explainFailure, isTrustFailure } from "./trust.ts";

/** What a handshake has shown. */
export interface Handshake {
  /** The version of TLS. */
  readonly protocol: string;
  /** The names that the master's certificate bears. */
  readonly names: string;
  /** When that certificate expires, as it says. */
  readonly validTo: string;
}

/** A handshake that failed. The message is fit for an operator. */
export class HandshakeFailure extends Error {
  override readonly name = "HandshakeFailure";

  constructor(
    message: string,
    readonly kind: "master" | "authority" | "worker certificate" | "other",
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Bounds of a handshake. */
interface HandshakeOptions {
  readonly timeoutMs: number;
  /** How long a master of TLS 1.3 has to refuse the client certificate after the handshake. */
  readonly settleMs: number;
  readonly signal: AbortSignal;
}

/** A TCP connection to the master. Throws `Error`, fit for an operator. */
export async function connectTo(
  { host, port }: Pick<MasterAddress, "host" | "port">,
  { timeoutMs, signal }: Pick<HandshakeOptions, "timeoutMs" | "signal">,
): Promise<Net.Socket> {
  const net = await import("node:net");
  const tcp = net.connect({ host, port });
  try {
    await settled(timeoutMs, signal, "no connection", ({ resolve, reject }) => {
      tcp.once("connect", resolve).on("error", reject);
    });
    return tcp;
  } catch (cause) {
    tcp.destroy();
    throw new Error(explainFailure(cause), { cause });
  }
}

/**
 * Proves both ends to each other on a TCP connection and ends it: no request is sent, so the master
 * learns nothing but who has connected. Throws `HandshakeFailure`.
 */
export async function testHandshake(
  tcp: Net.Socket,
  address: MasterAddress,
  certificates: Pick<Certificates, "authority" | "certificate" | "key">,
  { timeoutMs, settleMs, signal }: HandshakeOptions,
): Promise<Handshake> {
  const [https, net, tls] = await Promise.all([
    import("node:https"),
    import("node:net"),
    import("node:tls"),
  ]);
  let socket: Tls.TLSSocket | null = null;
  let hasGreeted = false;
  try {
    const opened = socket = tls.connect({
      socket: tcp,
      ca: certificates.authority,
      cert: certificates.certificate,
      key: certificates.key,
      servername: net.isIP(address.name) ? "" : address.name,
      minVersion: "TLSv1.2",
      rejectUnauthorized: true,
      checkServerIdentity: (_host, peer) => checkPeer(address, peer, tls),
    });
    await settled(timeoutMs, signal, "no answer", ({ resolve, reject }) => {
      opened.once("secureConnect", resolve).on("error", reject);
      opened.once("close", () => reject(new Closed()));
    });
    hasGreeted = true;
    const peer = opened.getPeerCertificate();
    const handshake = {
      protocol: opened.getProtocol() ?? "TLS",
      names: peer.subjectaltname ?? `CN:${peer.subject?.CN}`,
      validTo: peer.valid_to,
    };
    await settled(settleMs, signal, null, ({ reject }) => {
      opened.on("error", reject).once("close", () => reject(new Closed()));
      // Without reading, a refusal would never be seen.
      opened.resume();
    });
    return handshake;
  } catch (cause) {
    if (cause instanceof PeerMismatchError) throw failure(cause.message, "master", cause);
    if (!isTrustFailure(cause)) {
      const { code } = cause as { code?: string };
      const isRefusal = hasGreeted || (code?.includes("_ALERT_") ?? false);
      throw failure(explainFailure(cause), isRefusal ? "worker certificate" : "other", cause);
    }
    const { authority } = certificates;
    const why = await diagnoseTrustFailure({ https, net, tls }, address, {
      authority,
      timeoutMs,
      signal,
    });
    throw failure(why ?? explainFailure(cause), "authority", cause);
  } finally {
    socket?.destroy();
    tcp.destroy();
  }
}

/** The other end has closed the connection. */
class Closed extends Error {
  readonly code = "ECONNRESET";
}

function failure(message: string, kind: HandshakeFailure["kind"], cause: unknown) {
  return new HandshakeFailure(message, kind, { cause });
}

/** Waits for what `begin` starts; past the time it throws `late`, or ends well where that is null. */
async function settled(
  timeoutMs: number,
  signal: AbortSignal,
  late: string | null,
  begin: (ends: { resolve: () => void; reject: (error: unknown) => void }) => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    if (late === null) resolve();
    else reject(new Error(`${late} within ${timeoutMs / 1000} s`));
  }, timeoutMs);
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
