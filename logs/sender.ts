import type { TLSSocket } from "node:tls";
import { isPowerOfTwo, type Log } from "../host/log.ts";
import type { CertificateFolder, Certificates } from "../master/certificates.ts";
import { chainOf } from "../master/chain.ts";
import {
  ConnectionError,
  connectionError,
  connectTo,
  hostAndPort,
  loadTls,
  type MasterAddress,
  waitFor,
} from "../master/connection.ts";
import { masterFailure, startTls } from "../master/trust.ts";
import type { LogPosition } from "./container_log.ts";
import { type OnSafe, readLine, ResendWindow } from "./frames.ts";
import type { LogStatus } from "./status.ts";

/** What a sink has done since it was made. */
export interface SinkStatus extends Pick<LogStatus, "sent" | "heldBack" | "cut" | "problem"> {
  /** When the oldest line was taken that is not written yet, in milliseconds since 1970, or null. */
  readonly waitingSince: number | null;
}

/** Where lines go. */
export interface LineSink {
  /**
   * Takes a copy of a line, which has no line feed, of the container with an id; `position` is the one
   * after it. Returns null when there is room for the next line, else a promise that resolves then.
   * Never throws.
   */
  send(line: Uint8Array, container: string, position: LogPosition): Promise<void> | null;
  /**
   * Connects when there are lines, and sends them. Calls `onSafe` when no line of a container up to a
   * position need be sent again. When `signal` is aborted, writes what it has taken, ends the
   * connection in order and resolves within a second. Never throws.
   */
  run(signal: AbortSignal, onSafe: OnSafe): Promise<void>;
  readonly status: SinkStatus;
}

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

/** Returns why the master takes no lines, for an operator. */
export function listenerProblem(failure: Failure): string {
  switch (failure.reason) {
    case "connection-refused":
      return "connection refused; start the log listener on the master, or see syslog-port";
    case "not-tls":
      return "it does not speak TLS on that port; see syslog-port";
    case "wrong-name":
      return `its certificate does not have the name ${listenerName}; see syslog-port`;
    case "closed-after-handshake":
      return "it closed the connection after the handshake; it may not accept worker.crt";
    case "closed":
      return "it closed the connection; see its log";
  }
  return failure.message;
}

/** Sends lines to the master over mutual TLS, on one connection at a time. */
export class LogSender implements LineSink {
  readonly #address: MasterAddress;
  readonly #certificates: CertificateFolder;
  readonly #log: Log;
  readonly #times: typeof usualTimes;
  readonly #window = new ResendWindow((...safe) => this.#onSafe(...safe));
  #onSafe: OnSafe = () => {};
  /** Resolves when there is room for more lines; null while there is. */
  #room: PromiseWithResolvers<void> | null = null;
  #connection: Connection | null = null;
  #onUnsent = () => {};
  #isStopped = false;
  #failures = 0;
  #problem: string | null = null;
  #sent = 0;
  #heldBack = 0;
  #cut = 0;

  constructor({ master, certificates, log, times }: SenderOptions) {
    this.#address = listenerAddress(master);
    this.#certificates = certificates;
    this.#log = log;
    this.#times = { ...usualTimes, ...times };
  }

  get status(): SinkStatus {
    return {
      sent: this.#sent,
      heldBack: this.#heldBack,
      cut: this.#cut,
      waitingSince: this.#window.unsentSince,
      problem: this.#problem,
    };
  }

  send(line: Uint8Array, container: string, position: LogPosition): Promise<void> | null {
    if (this.#isStopped) return null;
    const read = readLine(line);
    if (read === null) {
      this.#heldBack++;
      this.#window.hold(container, position);
    } else {
      if (read.isCut) this.#cut++;
      this.#window.add(read.bytes, container, position);
    }
    if (this.#connection) this.#connection.requestWrite();
    else this.#onUnsent();
    if (!this.#window.isFull) return null;
    this.#room ??= Promise.withResolvers();
    return this.#room.promise;
  }

  /** Counts frames that were written for the first time. */
  #written(frames: number): void {
    this.#sent += frames;
    if (!this.#window.isFull) this.#makeRoom();
  }

  #makeRoom(): void {
    this.#room?.resolve();
    this.#room = null;
  }

  async run(signal: AbortSignal, onSafe: OnSafe): Promise<void> {
    this.#onSafe = onSafe;
    while (!signal.aborted) {
      await pause(foreverMs, signal, (resolve) => {
        this.#onUnsent = () => this.#window.unsentBytes > 0 && resolve();
        this.#onUnsent();
      });
      if (signal.aborted) break;
      const failure = await this.#deliver(signal).catch((error: Failure) => error);
      if (this.#connection) {
        const { ageMs } = this.#connection;
        const reason = failure?.reason ?? "by the agent";
        this.#log("debug", "disconnected from the log listener", { reason, ms: Math.round(ageMs) });
      }
      this.#connection?.close();
      this.#connection = null;
      if (failure === null || signal.aborted) continue;
      this.#window.rewind();
      this.#failed(failure);
      const { leastPause, mostPause } = this.#times;
      const bound = Math.min(mostPause, leastPause * 2 ** Math.min(this.#failures, 16));
      await pause(leastPause + (bound - leastPause) * Math.random(), signal);
    }
    this.#stop();
  }

  /** Takes no more lines. */
  #stop(): void {
    this.#isStopped = true;
    this.#makeRoom();
  }

  /** Connects and writes until the connection ends; returns null if the agent ended it, else why. */
  async #deliver(signal: AbortSignal): Promise<Failure | null> {
    const { answer, settle, check, proof, stall, stop } = this.#times;
    const { certificates } = await this.#certificates.load();
    const limits = { timeoutMs: answer, signal };
    const tcp = await connectTo(this.#address, limits);
    const socket = await startTls(tcp, this.#address, certificates, limits);
    const connection = this.#connection = new Connection(socket, this.#window, {
      gatherMs: this.#times.gather,
      onWritten: (frames) => this.#written(frames),
    });
    const { host, port } = this.#address;
    this.#log("debug", "connected to the log listener", { host, port });
    this.#window.keepsAll = true;
    connection.write();
    for (;;) {
      const waitMs = connection.ageMs < settle ? settle - connection.ageMs : Math.min(check, proof);
      await pause(waitMs, signal, (resolve) => connection.onEnd = resolve);
      if (connection.hasEnded) break;
      const hasSettled = connection.ageMs >= settle;
      if (signal.aborted) {
        this.#stop();
        // Before that, the listener may still have refused worker.crt.
        if (await connection.end(stop, true) && hasSettled) this.#window.release();
        return null;
      }
      if (!hasSettled) continue;
      this.#succeeded();
      this.#window.keepsAll = false;
      connection.requestWrite();
      const isProofDue = this.#window.unsentBytes === 0 && connection.ageMs >= proof;
      if (isProofDue || await this.#isOutdated(socket, certificates)) {
        if (!await connection.end(answer, false)) break;
        this.#window.release();
        return null;
      }
      if (connection.isWriting && connection.idleMs >= stall) {
        return new ConnectionError("no-reply", `${stall / 1000} s`);
      }
    }
    if (!connection.hasEnded) return new ConnectionError("no-reply", `${answer / 1000} s`);
    const failure = connectionError(connection.error ?? new ConnectionError("closed"));
    const isRefusal = failure.reason === "closed" && connection.ageMs < settle;
    return isRefusal ? new ConnectionError("closed-after-handshake") : failure;
  }

  /** Returns true when the files of the certificates have changed, or the listener's is not valid. */
  async #isOutdated(socket: TLSSocket, certificates: Certificates): Promise<boolean> {
    const loaded = await this.#certificates.load().catch(() => null);
    if (loaded !== null && loaded.certificates !== certificates) return true;
    const { crypto } = await loadTls();
    const chain = chainOf(() => socket.getPeerCertificate(true), crypto);
    return masterFailure(chain, this.#address, certificates.authority, crypto) !== null;
  }

  #failed(failure: Failure): void {
    const failures = ++this.#failures;
    const where = hostAndPort(this.#address);
    this.#problem = `Cannot send log lines to ${where}: ${listenerProblem(failure)}`;
    if (isPowerOfTwo(failures)) this.#log("error", this.#problem, { subject: "logs", failures });
  }

  #succeeded(): void {
    const failures = this.#failures;
    [this.#failures, this.#problem] = [0, null];
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

/** Writes the frames of a window to one connection, a portion at a time. */
class Connection {
  readonly #socket: TLSSocket;
  readonly #window: ResendWindow;
  readonly #gatherMs: number;
  readonly #onWritten: (frames: number) => void;
  readonly #openedAt = performance.now();
  #lastAt = performance.now();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #mayWrite = true;
  #isEnding = false;
  isWriting = false;
  /** Whether the listener has ended the connection, or it is lost. */
  hasEnded = false;
  error: Error | null = null;
  /** Called when it has ended; in `end()` also when something is written. */
  onEnd = () => {};

  constructor(
    socket: TLSSocket,
    window: ResendWindow,
    { gatherMs, onWritten }: { gatherMs: number; onWritten: (frames: number) => void },
  ) {
    this.#socket = socket;
    this.#window = window;
    this.#gatherMs = gatherMs;
    this.#onWritten = onWritten;
    const end = () => {
      this.hasEnded = true;
      this.onEnd();
    };
    socket.once("end", end).once("close", end).on("error", (error: Error) => {
      this.error = error;
      end();
    });
    // The listener sends nothing, but its end arrives only if the socket is read.
    socket.resume();
  }

  get ageMs(): number {
    return performance.now() - this.#openedAt;
  }

  /** How long nothing has been written, in milliseconds. */
  get idleMs(): number {
    return performance.now() - this.#lastAt;
  }

  /** Writes soon, or at once where it is worthwhile. */
  requestWrite(): void {
    if (this.isWriting) return;
    if (this.#window.unsentBytes >= worthwhileBytes) this.write();
    else this.#timer ??= setTimeout(() => this.write(), this.#gatherMs);
  }

  /** Writes what there is, up to a block; then goes on. */
  write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.isWriting || !this.#mayWrite) return;
    const portion = this.#window.next();
    if (!portion) return;
    this.isWriting = true;
    this.#lastAt = performance.now();
    this.#socket.write(portion.bytes, (error) => {
      if (error || this.#socket.destroyed) return;
      this.isWriting = false;
      this.#lastAt = performance.now();
      this.#onWritten(this.#window.written(portion));
      if (this.#mayWrite && this.#window.unsentBytes > 0) this.requestWrite();
      else if (this.#isEnding) this.onEnd();
    });
  }

  /**
   * Ends the connection after the current write, or after all that there is; returns true if the
   * listener then ended it, too, which shows that it has read everything.
   */
  async end(timeoutMs: number, writesAll: boolean): Promise<boolean> {
    const dueAt = performance.now() + timeoutMs;
    const { signal } = new AbortController();
    const wait = () => pause(dueAt - performance.now(), signal, (resolve) => this.onEnd = resolve);
    const isBusy = () => this.isWriting || (writesAll && this.#window.unsentBytes > 0);
    this.#isEnding = true;
    this.#mayWrite = writesAll;
    this.write();
    if (isBusy() && !this.hasEnded) await wait();
    this.#mayWrite = false;
    if (isBusy() || this.hasEnded) return false;
    this.#window.seal();
    this.#socket.end();
    await wait();
    return this.hasEnded && this.error === null;
  }

  close(): void {
    this.#mayWrite = false;
    clearTimeout(this.#timer);
    this.#socket.destroy();
  }
}
