import { forbiddenPath } from "../host/files.ts";
import { HttpError, type HttpFailure } from "../host/http.ts";

/** Why a call to the engine failed. An example of `call`: `GET /networks`. */
export type EngineFailure =
  | HttpFailure
  | { readonly reason: keyof typeof descriptions }
  /** `afterMs` is null when the caller's signal set the limit. */
  | { readonly reason: "timeout"; readonly afterMs: number | null }
  /** `words` is the engine's message; may be empty. */
  | {
    readonly reason: "status";
    readonly call: string;
    readonly status: number;
    readonly words: string;
  }
  | { readonly reason: "not-json"; readonly call: string };

/** A call to the engine failed. Callers switch on `failure.reason`; the message is for operators. */
export class EngineError extends Error {
  override readonly name = "EngineError";

  /** `place` begins the message, such as `Docker at /run/docker.sock`. */
  constructor(readonly failure: EngineFailure, place = "", options?: ErrorOptions) {
    super(`${place && `${place}: `}${describeFailure(failure)}`, options);
  }

  /** The HTTP status of the error; null when there was no answer. */
  get status(): number | null {
    return this.failure.reason === "status" ? this.failure.status : null;
  }
}

const runtimeErrors = [
  [Deno.errors.NotFound, "no-socket"],
  [Deno.errors.ConnectionRefused, "not-listening"],
  [Deno.errors.PermissionDenied, "permission-denied"],
  [Deno.errors.NotCapable, "forbidden-path"],
  [Deno.errors.WouldBlock, "queue-full"],
  [Deno.errors.ConnectionReset, "connection-cut"],
  [Deno.errors.BrokenPipe, "connection-cut"],
] as const;

/** Reads the reason of an error from this module, the runtime or an aborted signal. */
export function readFailure(error: unknown): EngineFailure {
  if (error instanceof EngineError || error instanceof HttpError) return error.failure;
  for (const [type, reason] of runtimeErrors) if (error instanceof type) return { reason };
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return { reason: "timeout", afterMs: null };
  }
  return { reason: "other", detail: error instanceof Error ? error.message : String(error) };
}

const isItThere = "is this the engine's socket?";

const descriptions = {
  "no-socket": "no such file; is the engine installed and running?",
  "not-listening": "connection refused; start the engine",
  "permission-denied": "permission denied; run as root, or as a member of the socket's group",
  "forbidden-path": `${forbiddenPath}; set docker-host to another socket`,
  "queue-full": "too many waiting connections; the engine hangs, restart it",
  "connection-cut": "connection reset; the engine's log may show why",
  "answer-cut": "connection closed in the middle of an answer; the engine's log may show why",
  "not-http": `the answer is not HTTP; ${isItThere}`,
  "client-closed": "the agent closed the connection",
} as const;

/** Describes a failure for an operator. */
function describeFailure(failure: EngineFailure): string {
  switch (failure.reason) {
    case "timeout": {
      const { afterMs } = failure;
      const time = afterMs === null ? "in time" : `within ${afterMs / 1000} s`;
      return `no answer ${time}; if this continues, restart the engine`;
    }
    case "status":
      return `${failure.call} was answered with ${failure.status}` +
        (failure.words && ` (${failure.words})`);
    case "not-json":
      return `${failure.call} was answered with invalid JSON; ${isItThere}`;
    case "too-large":
      return `the answer is larger than ${failure.maximumBytes / 2 ** 20} MiB; ` +
        "remove unused containers";
    case "other":
      return failure.detail;
    default:
      return descriptions[failure.reason];
  }
}

/** The part of an answer that shows whether it is an error. */
type Answer = { readonly status: number; readonly body: Uint8Array };

/** The error for an answer whose status is not the expected one; `hide` changes the engine's message. */
export function statusError(
  { status, body }: Answer,
  call: string,
  hide: (message: string) => string = (message) => message,
): EngineError {
  return new EngineError({ reason: "status", call, status, words: readRefusal(body, hide) });
}

/** Throws `EngineError` unless the status is 2xx, or 304, which means "nothing to change". */
export function checkStatus(
  answer: Answer,
  call: string,
  hide?: (message: string) => string,
): void {
  const { status } = answer;
  if ((status < 200 || status >= 300) && status !== 304) throw statusError(answer, call, hide);
}

/** Parses the text of the answer to `call`. Throws `EngineError` when it is not JSON. */
export function parseAnswer(text: string, call: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new EngineError({ reason: "not-json", call });
  }
}

/**
 * Reads the engine's message from `{"message": …}`; empty if there is none. At most 400 characters: before
 * it says which port is taken, Docker names the container and the endpoint.
 */
function readRefusal(body: Uint8Array, hide: (message: string) => string): string {
  try {
    const { message } = JSON.parse(new TextDecoder().decode(body));
    if (typeof message !== "string") return "";
    return hide(message).trim().slice(0, 400).toWellFormed();
  } catch {
    return "";
  }
}
