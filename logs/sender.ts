import type { TLSSocket } from "node:tls";
import { hostAndPort, isPowerOfTwo, type Log } from "../host/log.ts";
import { waitFor } from "../host/process.ts";
import type { CertificateFolder, Certificates } from "../master/certificates.ts";
import {
  ConnectionError,
  connectionError,
  connectTo,
  type MasterAddress,
} from "../master/connection.ts";
import { startTls } from "../master/trust.ts";
import type { LogPosition } from "./container_log.ts";
import { type OnSafe, readLine, ResendWindow } from "./frames.ts";

/** Where lines go. */
export type LineSink = Pick<LogSender, "send" | "run" | "status">;

/** The name in the certificate of the master's listener. */
const listenerName = "decnet-master";

/** Times in milliseconds. */
const usualTimes = {
  /** To connect, and for the listener to answer the agent's own end. */
  answer: 10_000,
  /** How long a listener of TLS 1.3 may take to refuse worker.crt after the handshake. */
  settle: 5_000,
  /** From a line to its frame: lines share a write. */
  gather: 50,
  /** So old a connection is ended when all is written, as its end proves that all was read. */
  proof: 10 * 60_000,
  /** How often the certificates are read. */
  check: 30_000,
  /** A listener that takes nothing for so long hangs. */
  stall: 5 * 60_000,
  /** The least and the most between two attempts to connect. */
  leastPause: 1_000,
  mostPause: 60_000,
  /** From a stop to the end. */
  stop: 900,
};
/** The longest wait of a timer. */
const foreverMs = 2 ** 31 - 1;
/** So many bytes are worth a write at once. */
const worthwhileBytes = 16 * 1024;

interface SenderOptions {
  /** Where the master takes lines. */
  readonly master: Pick<MasterAddress, "host" | "port">;
  readonly certificates: CertificateFolder;
  readonly log: Log;
  readonly times?: Partial<typeof usualTimes>;
}

/** A `ConnectionError`, a `TrustError` or a `CertificateError`. */
type Failure = Error & { readonly reason?: string };

/** Returns the address at which the master takes lines, and the name that it proves there. */
export function listenerAddress({ host, port }: SenderOptions["master"]): MasterAddress {
  return { host, port, name: listenerName, fingerprint: null };
}

/** Where the listener's port and log say more than the usual text. */
const problems: Readonly<Record<string, string>> = {
  "connection-refused":
    "connection refused; start the log listener on the master, or see syslog-port",
  "not-tls": "it does not speak TLS on that port; see syslog-port",
  "wrong-name": `its certificate does not have the name ${listenerName}; see syslog-port`,
  "closed-after-handshake":
    "it closed the connection after the handshake; it may not accept worker.crt",
  "closed": "it closed the connection; see its log",
};

/** Returns why the master takes no lines, for an operator. */
export function listenerProblem({ reason = "", message }: Failure): string {
  return problems[reason] ?? message;
}

/** Sends lines to the master over mutual TLS, on one connection at a time. */
export class LogSender {
  readonly #address: MasterAddress;
  readonly #certificates: CertificateFolder;
  readonly #log: Log;
  readonly #times: typeof usualTimes;
  readonly #window = new ResendWindow((...safe) => this.#onSafe(...safe));
  #onSafe: OnSafe = () => {};
  /** Resolves when there is room for more lines; null while there is. */
  #room: PromiseWithResolvers<void> | null = null;
  /** Ends a wait for lines. */
  #wake = () => {};
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;
  #failures = 0;
  #problem: string | null = null;
  readonly #counts = { sent: 0, heldBack: 0, cut: 0 };

  constructor({ master, certificates, log, times }: SenderOptions) {
    this.#address = listenerAddress(master);
    this.#certificates = certificates;
    this.#log = log;
    this.#times = { ...usualTimes, ...times };
  }

  /**
   * What was done so far; `waitingSince` is when the oldest line was taken that is not written yet, in
   * milliseconds since 1970, or null.
   */
  get status() {
    return { ...this.#counts, waitingSince: this.#window.unsentSince, problem: this.#problem };
  }

  /**
   * Takes a copy of a line, which has no line feed, of the container with an id; `position` is the one
   * after it. Returns null when there is room for the next line, else a promise that resolves then.
   * Never throws.
   */
  send(line: Uint8Array, container: string, position: LogPosition): Promise<void> | null {
    if (this.#isStopped) return null;
    const read = readLine(line);
    if (read === null) {
      this.#counts.heldBack++;
      this.#window.hold(container, position);
    } else {
      if (read.isCut) this.#counts.cut++;
      this.#window.add(read.bytes, container, position);
      this.#requestWrite();
    }
    if (!this.#window.isFull) return null;
    this.#room ??= Promise.withResolvers();
    return this.#room.promise;
  }

  /** Has what there is written soon, or at once where it is worthwhile. */
  #requestWrite(): void {
    if (this.#window.unsentBytes >= worthwhileBytes) return this.#wake();
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#wake();
    }, this.#times.gather);
  }

  /**
   * Connects when there are lines, and sends them. Calls `onSafe` when no line of a container up to a
   * position need be sent again. When `signal` is aborted, writes what it has taken, ends the
   * connection in order and resolves within a second. Never throws.
   */
  async run(signal: AbortSignal, onSafe: OnSafe): Promise<void> {
    this.#onSafe = onSafe;
    const { stop, leastPause, mostPause } = this.#times;
    // What is written or awaited when the agent stops may go on until then.
    const end = new AbortController();
    let endTimer: ReturnType<typeof setTimeout> | undefined;
    signal.addEventListener("abort", () => {
      endTimer = setTimeout(() => end.abort(), stop);
      this.#stop();
    }, { once: true });
    while (!signal.aborted) {
      if (this.#window.unsentBytes === 0) {
        await pause(foreverMs, signal, (resolve) => this.#wake = resolve);
        continue;
      }
      const failure = await this.#deliver(signal, end.signal).catch((error: Failure) => error);
      if (!failure || signal.aborted) continue;
      this.#window.rewind();
      this.#failed(failure);
      const bound = Math.min(mostPause, leastPause * 2 ** Math.min(this.#failures, 16));
      await pause(leastPause + (bound - leastPause) * Math.random(), signal);
    }
    clearTimeout(endTimer);
    this.#stop();
  }

  /** Takes no more lines. */
  #stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#makeRoom();
    this.#wake();
  }

  #makeRoom(): void {
    this.#room?.resolve();
    this.#room = null;
  }

  /**
   * Connects, writes what there is, and ends the connection when it is time. Throws a `Failure`, also
   * when `end` is aborted.
   */
  async #deliver(signal: AbortSignal, end: AbortSignal): Promise<void> {
    const { certificates } = await this.#certificates.load();
    const limits = { timeoutMs: this.#times.answer, signal };
    const tcp = await connectTo(this.#address, limits);
    const socket = await startTls(tcp, this.#address, certificates, limits);
    const connection = new Connection(socket, end);
    const { host, port } = this.#address;
    this.#log("debug", "connected to the log listener", { host, port });
    this.#window.keepsAll = true;
    let reason = "by the agent";
    try {
      await this.#write(connection, certificates, signal);
      this.#window.seal();
      await connection.end(this.#times.answer);
      if (!this.#window.keepsAll) this.#window.release();
    } catch (error) {
      const isRefusal = this.#window.keepsAll && (error as Failure).reason === "closed";
      const failure = isRefusal ? new ConnectionError("closed-after-handshake") : error as Failure;
      reason = String(failure.reason);
      throw failure;
    } finally {
      const ms = Math.round(connection.ageMs);
      this.#log("debug", "disconnected from the log listener", { reason, ms });
      connection.close();
    }
  }

  /** Writes until the agent stops, the certificates are renewed, or a proof is due. */
  async #write(connection: Connection, certificates: Certificates, signal: AbortSignal) {
    const { check, proof, settle, stall } = this.#times;
    for (let checkedAt = performance.now();;) {
      if (this.#window.keepsAll && connection.ageMs >= settle) this.#succeeded();
      const { keepsAll } = this.#window;
      if (!keepsAll && performance.now() - checkedAt >= check) {
        checkedAt = performance.now();
        const loaded = await this.#certificates.load().catch(() => null);
        if (loaded !== null && loaded.certificates !== certificates) return;
      }
      const portion = this.#window.next();
      if (portion) {
        await connection.write(portion.bytes, stall);
        this.#counts.sent += this.#window.written(portion);
        if (!this.#window.isFull) this.#makeRoom();
        continue;
      }
      if (signal.aborted || (!keepsAll && connection.ageMs >= proof)) return;
      const waitMs = keepsAll ? Math.max(0, settle - connection.ageMs) : Math.min(check, proof);
      await connection.wait(waitMs, null, (resolve) => this.#wake = resolve);
    }
  }

  #failed(failure: Failure): void {
    const failures = ++this.#failures;
    const where = hostAndPort(this.#address);
    this.#problem = `Cannot send log lines to ${where}: ${listenerProblem(failure)}`;
    if (isPowerOfTwo(failures)) this.#log("error", this.#problem, { subject: "logs", failures });
  }

  /** The listener has accepted worker.crt. */
  #succeeded(): void {
    const failures = this.#failures;
    [this.#failures, this.#problem] = [0, null];
    this.#window.keepsAll = false;
    if (failures > 0) this.#log("info", "the master takes log lines again", { failures });
  }
}

/** Waits so long, or until `signal` is aborted, or what `begin` gets is called. */
async function pause(
  timeoutMs: number,
  signal: AbortSignal,
  begin: (resolve: () => void) => void = () => {},
): Promise<void> {
  await waitFor({ timeoutMs, signal }, null, ({ resolve }) => begin(resolve)).catch(() => {});
}

/** A connection to the listener, which sends nothing. All that waits for it throws when it is lost. */
class Connection {
  readonly #socket: TLSSocket;
  readonly #signal: AbortSignal;
  readonly #openedAt = performance.now();
  /** How it has ended; `error` is null where the listener did so in order. */
  #ended: { readonly error: Error | null } | null = null;
  #onEnd: (error: Error | null) => void = () => {};

  /** Each wait ends when `signal` is aborted. */
  constructor(socket: TLSSocket, signal: AbortSignal) {
    this.#socket = socket;
    this.#signal = signal;
    const end = (error: Error | null) => {
      this.#ended ??= { error };
      this.#onEnd(this.#ended.error);
    };
    socket.once("end", () => end(null)).once("close", () => end(null)).on("error", end);
    // The end of a listener arrives only if the socket is read.
    socket.resume();
  }

  /** In milliseconds. */
  get ageMs(): number {
    return performance.now() - this.#openedAt;
  }

  /** Writes; waits while the listener takes nothing, at most so long. */
  async write(bytes: Uint8Array, timeoutMs: number): Promise<void> {
    await this.wait(timeoutMs, noReply(timeoutMs), (resolve) => {
      this.#socket.write(bytes, (error) => error || resolve());
    });
  }

  /** Ends it; returns when the listener ends it, too, which shows that it has read everything. */
  async end(timeoutMs: number): Promise<void> {
    await this.wait(timeoutMs, noReply(timeoutMs), (resolve, reject) => {
      this.#onEnd = (error) => error === null ? resolve() : reject(error);
      this.#socket.end();
    });
  }

  /** Waits until `begin` resolves; after the time throws `late`, or returns if it is null. */
  async wait(
    timeoutMs: number,
    late: ConnectionError | null,
    begin: (resolve: () => void, reject: (error: Error) => void) => void,
  ): Promise<void> {
    try {
      await waitFor({ timeoutMs, signal: this.#signal }, late, ({ resolve, reject }) => {
        this.#onEnd = (error) => reject(error ?? new ConnectionError("closed"));
        if (this.#ended) this.#onEnd(this.#ended.error);
        else begin(resolve, reject);
      });
    } catch (error) {
      throw connectionError(error);
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

function noReply(timeoutMs: number): ConnectionError {
  return new ConnectionError("no-reply", `${timeoutMs / 1000} s`);
}
