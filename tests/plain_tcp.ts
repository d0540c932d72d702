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
