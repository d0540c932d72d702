import { setTimeout as delay } from "node:timers/promises";
import { chunk, encode, failure, frame, headOf, type Reply, writeAll } from "./http.ts";
import { container, network } from "./state.ts";

const slowTickMs = 20;

/**
 * What goes wrong, for calls of `method` (default: any) whose unversioned path starts with `path`
 * (default: all), once `afterRequests` of those (default 0) have been answered well; with `once`, a
 * single time. The change that a call asks for happens before the fault with the `effect` `after`,
 * which is the default of `slow` alone; otherwise it does not happen.
 *
 * - `hang`: no answer
 * - `hang-body`: the head and half of the body, then silence
 * - `reset`: part of the head, then a connection reset
 * - `garbage`: bytes that are not HTTP
 * - `truncated`: a close before the announced end
 * - `status`: an error of the engine
 * - `body`: another body
 * - `huge`: a JSON list of so many bytes
 * - `slow`: the right answer at so many bytes per second
 */
export type Fault =
  & {
    method?: string;
    path?: string;
    afterRequests?: number;
    once?: boolean;
    effect?: "before" | "after";
  }
  & (
    | { kind: "hang" | "hang-body" | "reset" | "garbage" }
    | { kind: "truncated"; chunked?: boolean }
    | { kind: "status"; status: number; message: string }
    | { kind: "body"; body: string }
    | { kind: "huge"; bytes: number }
    | { kind: "slow"; bytesPerSecond: number }
  );

/** Whether the change that a call asks for happens although its answer is faulty. */
export function hasEffect({ kind, effect }: Fault): boolean {
  return (effect ?? (kind === "slow" ? "after" : "before")) === "after";
}

/** The fault that is set, and how many calls have passed it. */
export class FaultPlan {
  #fault: Fault | undefined;
  #passed = 0;

  get fault(): Fault | undefined {
    return this.#fault;
  }
  set fault(fault: Fault | undefined) {
    this.#fault = fault;
    this.#passed = 0;
  }

  /** The fault of a call, if any; `path` is without its version. */
  next(method: string, path: string): Fault | undefined {
    const fault = this.#fault;
    if (!fault || method !== (fault.method ?? method) || !path.startsWith(fault.path ?? "/")) {
      return undefined;
    }
    if (++this.#passed <= (fault.afterRequests ?? 0)) return undefined;
    if (fault.once) this.fault = undefined;
    return fault;
  }
}

/**
 * Answers with a fault other than `reset`: true when the connection can be used again, `silent` when
 * it stays open without an answer, false when it is to be closed.
 */
export async function strike(
  fault: Fault,
  connection: Deno.Conn,
  reply: Reply,
  stopping: AbortSignal,
): Promise<boolean | "silent"> {
  switch (fault.kind) {
    case "hang":
      return "silent";
    case "hang-body": {
      const bytes = frame(reply);
      const bodyBytes = encode(reply.body).length;
      await writeAll(connection, bytes.subarray(0, bytes.length - Math.floor(bodyBytes / 2)));
      return "silent";
    }
    case "garbage":
      await writeAll(connection, Uint8Array.from({ length: 512 }, (_, i) => (i * 37 + 128) % 256));
      return "silent";
    case "truncated": {
      // All of the body arrives; only its end mark, or some announced bytes, do not.
      const chunked = fault.chunked ?? false;
      const body = chunked ? reply.body : `${reply.body}missing`;
      const bytes = frame({ ...reply, body }, false, chunked);
      await writeAll(connection, bytes.subarray(0, bytes.length - 7));
      return false;
    }
    case "status":
      await writeAll(connection, frame(failure(fault.status, fault.message)));
      return true;
    case "body":
      await writeAll(connection, frame({ status: 200, body: fault.body }));
      return true;
    case "huge":
      await writeAll(connection, encode(headOf(reply, { "Transfer-Encoding": "chunked" })));
      for (const part of hugeList(fault.bytes)) await writeAll(connection, chunk(part));
      await writeAll(connection, chunk(""));
      return true;
    case "slow":
      await writeSlowly(connection, frame(reply), fault.bytesPerSecond, stopping);
      return true;
    default:
      throw new TypeError(`No such fault: ${fault.kind}`);
  }
}

/** A JSON list of `bytes` bytes (at least one item's) that would do for either list call. */
function* hugeList(bytes: number): Generator<string> {
  const name = "decnet-huge";
  const item = JSON.stringify({ ...network({ name }), ...container({ name }) });
  const items = `,${item}`.repeat(64);
  let left = bytes - item.length - 2;
  yield `[${item}`;
  for (; left >= items.length; left -= items.length) yield items;
  yield `${" ".repeat(Math.max(0, left))}]`;
}

async function writeSlowly(
  connection: Deno.Conn,
  bytes: Uint8Array,
  bytesPerSecond: number,
  signal: AbortSignal,
): Promise<void> {
  const start = performance.now();
  for (let sent = 0; sent < bytes.length;) {
    await delay(Math.max(slowTickMs, 1000 / bytesPerSecond), undefined, { signal });
    const due = Math.floor((performance.now() - start) / 1000 * bytesPerSecond);
    if (due <= sent) continue;
    await writeAll(connection, bytes.subarray(sent, due));
    sent = due;
  }
}
