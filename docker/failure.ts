import type { EngineResponse } from "./response_reader.ts";

const ifItLasts = "if that lasts, restart the engine";
const isItThere = "is it the engine that listens there?";

/** The engine answered with an error. */
export class EngineError extends Error {
  override readonly name = "EngineError";

  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/** Throws `EngineError` when `call` was answered with any status but success or "it is so already". */
export function checkStatus({ status, body }: EngineResponse, call: string): void {
  if ((status >= 200 && status < 300) || status === 304) return;
  const text = new TextDecoder().decode(body);
  throw new EngineError(status, `${call} was answered with ${status}${reason(text)}`);
}

/** The answer to `call` as JSON. Throws as `checkStatus`, and `Error` for what is no JSON. */
export function parseAnswer(answer: EngineResponse, call: string): unknown {
  checkStatus(answer, call);
  try {
    return JSON.parse(new TextDecoder().decode(answer.body));
  } catch {
    throw new Error(`${call} was answered with something that is not JSON; ${isItThere}`);
  }
}

/** The engine's own words for a failure: `{"message": …}`. */
function reason(text: string): string {
  try {
    const { message } = JSON.parse(text);
    const words = typeof message === "string" ? message.trim() : "";
    return words && ` (${words.slice(0, 240).toWellFormed()})`;
  } catch {
    return "";
  }
}

/** The error for an engine that has let its time pass. */
export function noAnswer(timeoutMs: number): Error {
  return new Error(`no answer within ${timeoutMs / 1000} s; ${ifItLasts}`);
}

/** Why the engine gave no answer, in words for an operator. */
export function explain(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) {
    return "no such socket; is the engine installed, and running?";
  }
  if (error instanceof Deno.errors.ConnectionRefused) {
    return "nobody listens; start the engine";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "permission denied; run as root, or as a member of the socket's group";
  }
  if (error instanceof Deno.errors.WouldBlock) {
    return "its queue is full; the engine hangs, restart it";
  }
  if (error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe) {
    return "the engine cut the connection; its log may tell why";
  }
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return `no answer in time; ${ifItLasts}`;
  }
  return error instanceof Error ? error.message : String(error);
}
