import { Engine, EngineError } from "../docker/engine.ts";
import { findSocket } from "../docker/mod.ts";
import type { Changes } from "../topology/changes/mod.ts";
import { type Step, Steps } from "./steps.ts";

/** How long a call that is under way may still take when the process is asked to stop. */
const graceMs = 1_200;
/** How often the engine is looked at and changed until there is nothing left to change. */
const maximumRounds = 4;
/** Between two rounds when something was not as it had been seen, in milliseconds. */
const pauseMs = 500;

/** How one apply or teardown is run. */
export interface RunOptions {
  /** Stops it between two calls; a later apply or teardown does the rest. */
  readonly signal: AbortSignal;
  /** Aborted when nobody waits for it any more: then it is not begun, but what has begun goes on. */
  readonly gone?: AbortSignal | undefined;
  /** Told what has been done. */
  readonly onStep?: ((step: Step) => void) | undefined;
  /** Told who else is at it; without this a busy host is a refusal. */
  readonly onWait?: ((holder: string) => void) | undefined;
}

/** Carries changes out; `imageIds` has the id of each image that they need. */
export type CarryOut = (
  changes: Changes,
  imageIds: ReadonlyMap<string, string | null>,
) => Promise<void>;

/**
 * Lets `turn` look at the engine and change it, again until there is nothing to change: an agent that
 * was killed leaves calls behind which the engine still carries out, and what is made or removed by
 * them appears only after the next one has looked. Answers how many changes it took.
 */
export async function converge(
  sockets: readonly string[],
  { signal, onStep = () => {} }: RunOptions,
  turn: (engine: Engine, carryOut: CarryOut) => Promise<void>,
): Promise<number> {
  let total = 0;
  for (let round = 1;; round++) {
    let isSettled = true;
    const stop = new AbortController();
    try {
      await withEngine(sockets, stop.signal, async (engine) => {
        const carryOut: CarryOut = async (changes, imageIds) => {
          // What falls over as soon as it is started shows as drift; it is not started for ever.
          isSettled &&= [...changes.networks, ...changes.containers].every(({ action }) =>
            action !== "create" && action !== "remove"
          );
          const onEach = (step: Step) => {
            total++;
            onStep(step);
          };
          await new Steps(changes, engine, { imageIds, stop, onStep: onEach }).run();
        };
        await untilStopped(turn(engine, carryOut), signal, stop);
      });
      if (isSettled) return total;
      if (round === maximumRounds) {
        throw new Error(
          `Docker does not stay as it is made: it was changed ${round} times; find out what else changes it`,
        );
      }
    } catch (error) {
      if (round === maximumRounds || signal.aborted || !wasOutdated(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}

/** Lets `work` speak to the engine, until `signal` is aborted. */
export async function withEngine<T>(
  sockets: readonly string[],
  signal: AbortSignal,
  work: (engine: Engine) => Promise<T>,
): Promise<T> {
  const engine = new Engine(findSocket(sockets), signal);
  try {
    return await work(engine);
  } finally {
    engine.close();
  }
}

/** Whether a step failed because something had gone, or come, since it was planned. */
function wasOutdated(error: unknown): boolean {
  const { cause } = error as Error;
  return cause instanceof EngineError && (cause.status === 404 || cause.status === 409);
}

/**
 * Waits for `work`. Once `signal` is aborted no further call is begun, and the one under way is
 * waited for, but not long: whoever stops a service does not wait for ever.
 */
async function untilStopped(
  work: Promise<void>,
  signal: AbortSignal,
  stop: AbortController,
): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const { promise: tooLong, reject } = Promise.withResolvers<never>();
  const onAbort = () => {
    stop.abort(new Error("interrupted, as the agent was stopped; apply it again or tear it down"));
    timer = setTimeout(() => reject(stop.signal.reason), graceMs);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    await Promise.race([work, tooLong]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
