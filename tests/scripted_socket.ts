/**
 * Listens at `path`, and on each connection, as soon as the client has sent something, says each of
 * `parts` after waiting as many milliseconds, then waits for the client to close.
 */
export function scriptSocket(
  path: string,
  parts: readonly { readonly afterMs?: number; readonly text: string }[],
): AsyncDisposable {
  const listener = Deno.listen({ transport: "unix", path });
  const talking: Promise<void>[] = [];
  const talk = async (connection: Deno.Conn) => {
    const heard = new Uint8Array(4096);
    try {
      await connection.read(heard);
      for (const { afterMs = 0, text } of parts) {
        if (afterMs > 0) await new Promise((resolve) => setTimeout(resolve, afterMs));
        await connection.write(new TextEncoder().encode(text));
      }
      while (await connection.read(heard) !== null) { /* until it closes */ }
    } catch (error) {
      if (!(error instanceof Error && "code" in error)) throw error; // It closed before.
    } finally {
      connection.close();
    }
  };
  const accepting = (async () => {
    for await (const connection of listener) talking.push(talk(connection));
  })();
  return {
    async [Symbol.asyncDispose]() {
      listener.close(); // This removes the file, too.
      await Promise.all([accepting, ...talking]);
    },
  };
}
