import fs from "node:fs";

/** How to reach systemd, from its environment variables. */
interface SystemdNotifierOptions {
  /** `$NOTIFY_SOCKET`: a path, or an abstract address with a leading `@`; unset without systemd. */
  readonly socket: string | undefined;
  /** `$WATCHDOG_USEC`, in microseconds; unset without a watchdog. */
  readonly watchdogUsec: string | undefined;
  /** How long a piece of work may take before it counts as hung, in milliseconds. */
  readonly maximumWorkMs?: number;
  /** Called once, when systemd cannot be reached. */
  readonly onError: (error: unknown) => void;
}

/** How long `close()` waits for messages to be accepted, in milliseconds. */
const closeTimeoutMs = 500;

/** Reports the state of the service to systemd: sd_notify(3). Does nothing without systemd. */
export class SystemdNotifier {
  readonly #onError: (error: unknown) => void;
  readonly #maximumWorkMs: number;
  readonly #address: Deno.UnixAddr | null;
  #socket: Deno.DatagramConn | null = null;
  #watchdog: ReturnType<typeof setInterval> | undefined;
  #workingSince: number | null = null;
  #hasFailed = false;
  #sent: Promise<void> = Promise.resolve();

  constructor({ socket, watchdogUsec, onError, maximumWorkMs = 60_000 }: SystemdNotifierOptions) {
    this.#maximumWorkMs = maximumWorkMs;
    this.#onError = onError;
    this.#address = socket ? { transport: "unixpacket", path: socket.replace(/^@/, "\0") } : null;
    if (!this.#address) return;
    try {
      // Deno sends from bound sockets only; an abstract address leaves no file behind.
      const path = `\0decnet-agent-${Deno.pid}-${crypto.randomUUID()}`;
      this.#socket = Deno.listenDatagram({ transport: "unixpacket", path });
    } catch (error) {
      this.#fail(error);
    }
    const watchdogMs = Number(watchdogUsec ?? 0) / 1000;
    if (watchdogMs > 0) this.#watchdog = setInterval(() => this.#feedWatchdog(), watchdogMs / 3);
  }

  /** `READY`: the service has started, or has read its configuration again. */
  notify(state: "READY" | "RELOADING" | "STOPPING"): void {
    this.#send(`${state}=1`);
  }

  /** Sets the status line of `systemctl status`. */
  status(text: string): void {
    this.#send(`STATUS=${text.replaceAll("\n", " ").slice(0, 500).toWellFormed()}`);
  }

  /** Begins or ends a piece of work: the watchdog restarts the service when it takes too long. */
  work(phase: "begin" | "end"): void {
    this.#workingSince = phase === "begin" ? performance.now() : null;
  }

  /** Closes the socket when all is sent, or after 500 ms. */
  async close(): Promise<void> {
    clearInterval(this.#watchdog);
    const { promise: timeout, resolve } = Promise.withResolvers<Error>();
    const timer = setTimeout(
      () => resolve(new Error("it does not read its messages")),
      closeTimeoutMs,
    );
    const problem = await Promise.race([this.#sent, timeout]);
    clearTimeout(timer);
    if (problem) this.#fail(problem);
    this.#socket?.close();
    this.#socket = null;
  }

  #feedWatchdog(): void {
    const workedMs = this.#workingSince === null ? 0 : performance.now() - this.#workingSince;
    if (workedMs <= this.#maximumWorkMs) this.#send("WATCHDOG=1");
  }

  #send(text: string): void {
    const address = this.#address;
    if (!this.#socket || !address) return;
    const message = new TextEncoder().encode(text);
    // In sequence: the runtime fails one of two concurrent sends.
    this.#sent = this.#sent
      .then(async () => void await this.#socket?.send(message, address))
      .catch((error) => this.#fail(error));
  }

  #fail(error: unknown): void {
    if (!this.#hasFailed) this.#onError(error);
    this.#hasFailed = true;
  }
}

/**
 * Whether standard error goes to the journal: `$JOURNAL_STREAM` is its device and inode then
 * (systemd.exec(5)). A program that redirects it leaves the variable as it is.
 */
export function isJournal(stream: string | undefined, descriptor = 2): boolean {
  if (!stream) return false;
  const { dev, ino } = fs.fstatSync(descriptor);
  return stream === `${dev}:${ino}`;
}
