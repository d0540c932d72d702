import { setTimeout as delay } from "node:timers/promises";
import type { Narrator } from "./narrator.ts";
import { disturb, openWeb, type WebOptions } from "./web.ts";

/** So that there is something to compare with. */
const calmMs = 4_000;
const longestWaitMs = 2 ** 31 - 1;

/** How long the page stays, in milliseconds, besides what it is made of. */
export type WebStoryOptions = Omit<WebOptions, "folder" | "stack"> & { readonly forMs: number };

/** Tells what can be seen on the example master's page, until `signal` or for `forMs`. */
export async function tellWeb(narrator: Narrator, options: WebStoryOptions): Promise<void> {
  const { forMs, signal } = options;
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "decnet-demo-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  narrator.tell(
    "Four agents, the real ones, report to the master of examples/master, which is real as well; " +
      "their hosts are stand-ins. A beat is due every 2 s here, and a host is late after 5 s.",
  );
  const web = await openWeb({ ...options, folder, stack });
  narrator.say("master", `has pushed a topology to each host; its page is ${web.url}`);
  await pause(Math.min(forMs, calmMs), signal);
  await disturb(web);
  narrator.say("host", "on lab-2 a container dies, and another one is removed");
  narrator.say("host", "on lab-3 the engine stops");
  narrator.say("agent", "on lab-4 stops: that host will be late");
  if (forMs === Infinity) narrator.tell("The page stays until Ctrl-C.");
  await pause(Math.min(forMs - calmMs, longestWaitMs), signal);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  // It says less than the signal why it has ended.
  await delay(Math.max(0, ms), undefined, { signal }).catch(() => {});
  signal.throwIfAborted();
}
