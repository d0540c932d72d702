/** What can be the matter with an engine that setting a fault on the stand-in does not bring. */

import type { AgentSetup } from "./agent_setup.ts";
import { FakeEngine, listenWithoutAccepting } from "./engine/mod.ts";
import { scriptSocket } from "./scripted_socket.ts";

/** Brings trouble; the answer ends it. What must be tidied up at last is put on the stack. */
export type Trouble = (
  setup: AgentSetup,
  atLast: AsyncDisposableStack,
) => Promise<() => Promise<void>>;

/** Another process at the engine's path, or none, until the engine comes back there. */
function inItsPlace(come: (path: string) => Promise<() => unknown>): Trouble {
  return async ({ engine }, atLast) => {
    const { socketPath, networks, containers } = engine;
    await engine.stop();
    const go = await come(socketPath);
    return async () => {
      await go();
      const next = atLast.use(await FakeEngine.start(socketPath));
      Object.assign(next, { networks, containers });
    };
  };
}

/** There is no socket. */
export const absent: Trouble = inItsPlace(() => Promise.resolve(() => {}));

/** The socket's file is there, as after a crash, and nobody listens. */
export const refused: Trouble = inItsPlace(async (path) => {
  const listener = Deno.listen({ transport: "unix", path: `${path}.first` });
  await Deno.rename(`${path}.first`, path);
  listener.close();
  return () => Deno.remove(path);
});

/** A plain file is where the socket should be. */
export const plainFile: Trouble = inItsPlace(async (path) => {
  await Deno.writeTextFile(path, "");
  return () => Deno.remove(path);
});

/** Connections are made, and never accepted. */
export const deaf: Trouble = inItsPlace((path) => {
  const { stop } = listenWithoutAccepting(path);
  return Promise.resolve(stop);
});

/** So many wait for it that no more can. */
export const overrun: Trouble = inItsPlace(async (path) => {
  const { stop } = listenWithoutAccepting(path);
  const waiting: Deno.Conn[] = [];
  try {
    for (;;) waiting.push(await Deno.connect({ transport: "unix", path }));
  } catch (error) {
    if (!(error instanceof Deno.errors.WouldBlock)) throw error;
  }
  return () => {
    for (const connection of waiting) connection.close();
    stop();
  };
});

/** It says these words, whatever it is asked. */
export function saying(...parts: Parameters<typeof scriptSocket>[1]): Trouble {
  return inItsPlace((path) => {
    const script = scriptSocket(path, parts);
    return Promise.resolve(() => script[Symbol.asyncDispose]());
  });
}
