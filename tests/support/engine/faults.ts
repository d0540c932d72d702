import { setTimeout as delay } from "node:timers/promises";
import { chunk, encode, frame, headOf, json, type Reply, writeAll } from "./http.ts";

const slowTickMs = 20;

/**
 * What goes wrong, for calls of `method` (default: any) whose path starts with `path` (default: all),
 * once `afterRequests` of those (default 0) have been answered well; with `once`, a single time. The
 * change that a call asks for happens before the fault with the `effect` `after`, which is the default
 * of `slow` alone; otherwise it does not happen.
 *
 * - `hang`: no answer
 * - `hang-body`: the head and half of the body, then silence
 * - `reset`: part of the head, then a connection reset
 * - `garbage`: bytes that are not HTTP
 * - `truncated`: a close before the announced end
 * - `status`: an error of the engine
 * - `body`: another body
 * - `huge`: an empty JSON list of at least so many bytes
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

/** Whether a fault is for a call. */
export function concerns(fault: Fault, method: string, target: string): boolean {
  return method === (fault.method ?? method) && target.startsWith(fault.path ?? "/");
}

/** Whether the change that a call asks for happens although its answer is faulty. */
export function hasEffect({ kind, effect }: Fault): boolean {
  return (effect ?? (kind === "slow" ? "after" : "before")) === "after";
}

/** Answers with a fault; says whether the connection is used again, stays silent, or is closed. */
export async function strike(
  fault: Fault,
  connection: Deno.Conn,
  reply: Reply,
  stopping: AbortSignal,
): Promise<"next" | "silent" | "close"> {
  switch (fault.kind) {
    case "hang":
      return "silent";
    case "hang-body": {
      const bytes = frame(reply);
      const bodyBytes = encode(reply.body).length;
      await writeAll(connection, bytes.subarray(0, bytes.length - Math.floor(bodyBytes / 2)));
      return "silent";
    }
    case "reset":
      await writeAll(connection, "HTTP/1.1 200 OK\r\nApi-Ver");
      return "close";
    case "garbage":
      await writeAll(connection, Uint8Array.from({ length: 512 }, (_, i) => (i * 37 + 128) % 256));
      return "silent";
    case "truncated": {
      // All of the body arrives; only its end mark, or some announced bytes, do not.
      const chunked = fault.chunked ?? false;
      const body = chunked ? reply.body : `${reply.body}missing`;
      const bytes = frame({ ...reply, body }, false, chunked);
      await writeAll(connection, bytes.subarray(0, bytes.length - 7));
      return "close";
    }
    case "status":
      await writeAll(connection, frame(json(fault.status, { message: fault.message })));
      return "next";
    case "body":
      await writeAll(connection, frame({ status: 200, body: fault.body }));
      return "next";
    case "huge": {
      const spaces = encode(chunk(" ".repeat(65_536)));
      await writeAll(connection, headOf(200, { "Transfer-Encoding": "chunked" }) + chunk("["));
      for (let sent = 0; sent < fault.bytes; sent += 65_536) await writeAll(connection, spaces);
      await writeAll(connection, chunk("]") + chunk(""));
      return "next";
    }
    case "slow":
      await writeSlowly(connection, frame(reply), fault.bytesPerSecond, stopping);
      return "next";
  }
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
    await writeAll(connection, bytes.subarray(sent, due));
    sent = due;
  }
}
