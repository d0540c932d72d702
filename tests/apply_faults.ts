/** One call goes wrong, at each position in turn. */

import assert from "node:assert/strict";
import type { Refusal } from "../apply/mod.ts";
import { type ApplyHost, refusalOf, withHost } from "./apply_host.ts";
import type { Fault, ReceivedRequest } from "./engine/mod.ts";

/** How a call goes wrong: refused, or cut off before or after it has had its effect. */
export const faults: readonly Fault[] = [
  { kind: "status", status: 500, message: "no" },
  { kind: "reset", effect: "before" },
  { kind: "reset", effect: "after" },
  { kind: "garbage", effect: "after" },
];
/** The two ways in which most is left behind. */
export const worstFaults = faults.slice(1, 3);
/** What is said of the calls that were cut off. */
export const lost =
  /: (the engine cut the connection|the connection closed|the answer is not HTTP)/;

/** What came of one run in which a call went wrong. */
export interface Struck {
  readonly host: ApplyHost;
  /** Null when the agent has found another way. */
  readonly refusal: Refusal | null;
  /** The call that went wrong. */
  readonly request: ReceivedRequest;
  readonly fault: Fault;
}

/**
 * Lets each call of `run` go wrong in turn, in each of `ways`, on a new host each time, and has
 * `check` look at what came of it. Answers how many calls there are.
 */
export async function strikeEach(
  { prepare = () => Promise.resolve(), run, ways = faults }: {
    prepare?: (host: ApplyHost) => Promise<unknown>;
    run: (host: ApplyHost) => ReturnType<ApplyHost["apply"]>;
    ways?: readonly Fault[];
  },
  check: (struck: Struck) => Promise<void>,
): Promise<number> {
  let count = 0;
  await withHost(async (host) => {
    await prepare(host);
    const before = host.engine.requestCount;
    await run(host);
    count = host.engine.requestCount - before;
  });
  for (const fault of ways) {
    for (let position = 0; position < count; position++) {
      await withHost(async (host) => {
        await prepare(host);
        const { engine } = host;
        const before = engine.requestCount;
        engine.fault = { ...fault, afterRequests: position, once: true };
        const refusal = await refusalOf(run(host)).catch((error) => {
          if (error instanceof assert.AssertionError) return null;
          throw error;
        });
        assert.equal(engine.fault, undefined, "nothing went wrong");
        const request = engine.requests[before + position]!;
        try {
          await check({ host, refusal, request, fault });
        } catch (error) {
          const where = `${
            JSON.stringify(fault)
          } at ${position}: ${request.method} ${request.path}`;
          throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
        }
      });
    }
  }
  return count;
}
