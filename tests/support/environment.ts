const pollMs = 100;

/** Asks again and again until the answer is no longer undefined. Throws `Error` after 30 s. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined>,
  timeoutMs = 30_000,
): Promise<T> {
  const startedAt = performance.now();
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() - startedAt > timeoutMs) throw new Error(`Waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
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
export function listenPlainTcp(
  port = 0,
): { port: number; stop(): void } & Disposable {
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
