/** Listens at `path` and never accepts: clients connect, write, and wait. */
export function listenWithoutAccepting(path: string): { stop(): void } & Disposable {
  const listener = Deno.listen({ transport: "unix", path });
  const stop = () => {
    listener.close(); // This removes the file, too.
  };
  return { stop, [Symbol.dispose]: stop };
}
