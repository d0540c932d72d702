/** Where the supervisor listens and how often it wants to hear, as systemd tells in the environment. */
interface SystemdNotifierOptions {
  /** `$NOTIFY_SOCKET`: a path, or an abstract address with `@` before it; unset without systemd. */
  readonly socket: string | undefined;
  /** `$WATCHDOG_USEC`, in microseconds; unset without a watchdog. */
  readonly watchdogUsec: string | undefined;
  /** How long one piece of work may take until it counts as hung, in milliseconds. */
  readonly maximumWorkMs?: number;
  /** Told when it cannot be reached. */
  readonly onError: (error: unknown) => void;
}

/** How long the end waits for a supervisor that takes nothing, in milliseconds. */
const closeTimeoutMs = 500;

/**
 * Tells systemd, or whoever else speaks its protocol, how the service is: sd_notify(3). Without a
 * supervisor it does nothing. What cannot be told is reported once and never ends the agent.
 */
export class SystemdNotifier {
  readonly #onError: (error: unknown) => void;
  readonly #maximumWorkMs: number;
  readonly #address: Deno.UnixAddr | null;
  #socket: Deno.DatagramConn | null = null;
  #feeding: ReturnType<typeof setInterval> | undefined;
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
      onError(error);
    }
    const watchdogMs = Number(watchdogUsec ?? 0) / 1000;
    if (watchdogMs > 0) this.#feeding = setInterval(() => this.#feed(), watchdogMs / 3);
  }

  /** The service has started: what it is there for works, or it is known what does not. */
  ready(): void {
    this.#send("READY=1");
  }

  /** The service reads its configuration again; `ready()` ends that. */
  reloading(): void {
    this.#send("RELOADING=1");
  }

  /** How the service is, in a line for `systemctl status`. */
  status(text: string): void {
    this.#send(`STATUS=${text.replaceAll("\n", " ").slice(0, 500).toWellFormed()}`);
  }

  /** A piece of work begins; when it does not end in time, the watchdog is left to bite. */
  beginWork(): void {
    this.#workingSince = performance.now();
  }

  /** The piece of work has ended. */
  endWork(): void {
    this.#workingSince = null;
  }

  /** The service is about to stop. */
  stopping(): void {
    this.#send("STOPPING=1");
  }

  /** Ends it, when all has been told, or when the supervisor takes nothing any more. */
  async close(): Promise<void> {
    clearInterval(this.#feeding);
    const { promise: tooLong, resolve } = Promise.withResolvers<string>();
    const timer = setTimeout(() => resolve("it takes nothing any more"), closeTimeoutMs);
    const problem = await Promise.race([this.#sent, tooLong]);
    clearTimeout(timer);
    if (typeof problem === "string") this.#fail(new Error(problem));
    this.#socket?.close();
    this.#socket = null;
  }

  #feed(): void {
    const isHung = this.#workingSince !== null &&
      performance.now() - this.#workingSince > this.#maximumWorkMs;
    if (!isHung) this.#send("WATCHDOG=1");
  }

  #send(text: string): void {
    const address = this.#address;
    if (!this.#socket || !address) return;
    const message = new TextEncoder().encode(text);
    // One after another: of two at once the runtime lets one fail.
    this.#sent = this.#sent
      .then(async () => void await this.#socket?.send(message, address))
      .catch((error) => this.#fail(error));
  }

  #fail(error: unknown): void {
    if (!this.#hasFailed) this.#onError(error);
    this.#hasFailed = true;
  }
}
