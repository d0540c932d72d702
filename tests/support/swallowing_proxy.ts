import { closeQuietly, writeAll } from "./engine/http.ts";

/** A way to a port of 127.0.0.1 that can hold up or lose connections without a word to either end. */
export class SwallowingProxy implements AsyncDisposable {
  /** How many connections have come. */
  connectionCount = 0;
  /** Whether nothing that is sent on a connection, counted from 1, arrives. */
  isDead: (connection: number) => boolean = () => false;
  /** How long each piece takes, in milliseconds. */
  delayMs = 0;
  readonly #listener: Deno.TcpListener;
  readonly #connections = new Set<Deno.Conn>();
  readonly #serving: Promise<void>;
  readonly #target: number;
  #isStopped = false;
  #held: PromiseWithResolvers<void> | null = null;

  constructor(target: number, { fullMs = 0 } = {}) {
    this.#target = target;
    const queue = fullMs > 0 && { tcpBacklog: 1 };
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0, ...queue });
    this.#serving = this.#serve(fullMs);
  }

  /**
   * Starts one to which the next connection takes a second, as over a link that loses packets: its
   * queue is full at first, so the kernel drops the first SYN.
   */
  static async slow(target: number): Promise<SwallowingProxy> {
    const proxy = new SwallowingProxy(target, { fullMs: 800 });
    const { port } = proxy;
    for (let queued = 0; queued < 2; queued++) {
      proxy.#connections.add(await Deno.connect({ hostname: "127.0.0.1", port }));
    }
    return proxy;
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** The connections that stand are dead from now on; new ones work. */
  swallow(): void {
    const { connectionCount } = this;
    this.isDead = (connection) => connection <= connectionCount;
  }

  /** Reads nothing more until `release()`, so that who writes has to wait. */
  hold(): void {
    this.#held ??= Promise.withResolvers();
  }

  release(): void {
    this.#held?.resolve();
    this.#held = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true;
    this.release();
    this.#listener.close();
    for (const connection of this.#connections) closeQuietly(connection);
    await this.#serving;
  }

  async #serve(fullMs: number): Promise<void> {
    const relays: Promise<void>[] = [];
    await new Promise((resolve) => setTimeout(resolve, fullMs));
    for await (const client of this.#listener) {
      const number = ++this.connectionCount;
      const target = await Deno.connect({ hostname: "127.0.0.1", port: this.#target });
      relays.push(this.#relay(client, target, number), this.#relay(target, client, number));
    }
    await Promise.all(relays);
  }

  async #relay(from: Deno.Conn, to: Deno.Conn, number: number): Promise<void> {
    this.#connections.add(from);
    // It came while the others were closed.
    if (this.#isStopped) closeQuietly(from);
    const buffer = new Uint8Array(65_536);
    try {
      for (let length; (length = await from.read(buffer)) !== null;) {
        if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
        if (!this.isDead(number)) await writeAll(to, buffer.subarray(0, length));
        await this.#held?.promise;
      }
    } catch {
      // Either end was closed.
    }
    // Nor does the other end learn that this one has gone.
    if (!this.isDead(number)) closeQuietly(to);
  }
}
