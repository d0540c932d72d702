const pollMs = 20;

/** How long to wait for something. */
interface UntilOptions {
  /** A name of what is waited for, for the error; the source of `ask` unless given. */
  readonly what?: string;
  readonly timeoutMs?: number;
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
}

/** Asks until the answer is neither false nor undefined. Throws `Error` when that takes over 30 s. */
export async function until<T>(
  ask: () => T | Promise<T>,
  { what = String(ask), timeoutMs = 30_000, signal }: UntilOptions = {},
): Promise<NonNullable<T>> {
  const startedAt = performance.now();
  for (;;) {
    signal?.throwIfAborted();
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() - startedAt > timeoutMs) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

/** Finds a port of 127.0.0.1 that nothing listens on at this moment. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** A folder of its own for a test, gone when the test is over. */
export class TemporaryFolder implements Disposable {
  /** Its absolute path. */
  readonly path = Deno.makeTempDirSync({ prefix: "decnet-test-" });

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** Listens on 127.0.0.1 and accepts, but never says a word: a TLS handshake with it hangs. */
export function listenPlainTcp(port = 0): { port: number; stop(): void } & Disposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  const connections: Deno.Conn[] = [];
  const accept = async () => {
    for await (const connection of listener) connections.push(connection);
  };
  accept();
  const stop = () => {
    listener.close();
    for (const connection of connections) connection.close();
  };
  return { port: listener.addr.port, stop, [Symbol.dispose]: stop };
}
