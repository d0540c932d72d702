/** The engine's events; a face of its own, as a check has no use for them. */
import { EngineConnection } from "./connection.ts";
import { checkStatus, explain } from "./failure.ts";
import { LineSplitter } from "./line_splitter.ts";
import type { Prefixes } from "./ours.ts";
import { eventFilters, OwnEvents } from "./own_events.ts";
import { WholeBody } from "./whole_body.ts";

/** A refusal is read up to here, in bytes, and so long, in milliseconds. */
const maximumRefusalBytes = 64 * 1024;
const refusalTimeoutMs = 2_000;
const call = {
  method: "GET",
  path: `/events?filters=${encodeURIComponent(eventFilters)}`,
} as const;

/** Which engine to listen to, and who is told of what. */
export interface EventOptions extends Prefixes {
  /** The path of the engine's socket. */
  readonly socket: string;
  /** From now on each change is told. Some engines may say so with their first event only. */
  readonly onOpen: () => void;
  /** What is ours may have changed. */
  readonly onChange: () => void;
}

/**
 * Listens to the engine, on a connection of its own, until that ends. Always throws `Error`, whose
 * message is fit for an operator, also when `signal` was aborted.
 */
export async function listenToEvents(signal: AbortSignal, options: EventOptions): Promise<never> {
  const { socket, onOpen, onChange } = options;
  const own = new OwnEvents(options);
  try {
    const connection = await EngineConnection.open(socket, signal);
    try {
      await connection.send([call]);
      const head = await connection.head();
      if (head.status !== 200) {
        const refusal = new WholeBody(maximumRefusalBytes);
        const timer = setTimeout(() => connection.close(), refusalTimeoutMs);
        // The engine's words are good to have; without them the status must do.
        await connection.pour(head, refusal).catch(() => {}).finally(() => clearTimeout(timer));
        checkStatus({ ...head, body: refusal.bytes() }, "GET /events");
        throw new Error(`GET /events was answered with ${head.status}`);
      }
      onOpen();
      await connection.pour(
        head,
        new LineSplitter((line) => {
          if (line === null || own.matter(line)) onChange();
        }),
      );
      throw new Error("the engine ended its events");
    } finally {
      connection.close();
    }
  } catch (error) {
    const cause = signal.aborted ? signal.reason : error;
    throw new Error(`Cannot listen to Docker at ${socket}: ${explain(cause)}`, { cause });
  }
}
