import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline, Readable } from "node:stream";

const chunkBytes = 65_536;

/**
 * How the master answers a beat: with a status; with one after so long (`late`); never (`hang`); never, and no longer reading
 * either, not even the client's goodbye (`half-open`); with a head and then an endless body at so
 * many bytes a second (`drip`); with a body of so many bytes (`huge`); by cutting the connection
 * (`reset`), or by cutting it in the middle of the body (`cut`).
 */
export type MasterAnswer =
  | {
    kind?: never;
    status: number;
    headers?: Record<string, string>;
    body?: string;
  }
  | { kind: "late"; status: number; ms: number }
  | { kind: "hang" }
  | { kind: "half-open" }
  | { kind: "drip"; bytesPerSecond: number }
  | { kind: "huge"; bytes: number }
  | { kind: "reset" }
  | { kind: "cut"; status: number };

/** Answers a beat. */
export function giveAnswer(
  answer: MasterAnswer,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  switch (answer.kind) {
    case undefined:
      response.writeHead(answer.status, answer.headers);
      response.end(answer.body);
      break;
    case "late": {
      const timer = setTimeout(() => response.writeHead(answer.status).end(), answer.ms);
      response.on("close", () => clearTimeout(timer));
      break;
    }
    case "hang":
      break;
    case "half-open":
      request.socket.pause();
      break;
    case "drip":
      drip(response, answer.bytesPerSecond);
      break;
    case "huge":
      response.writeHead(200, {
        "content-type": "application/json",
        "content-length": answer.bytes,
      });
      // A client that stops reading in the middle is what this is for.
      pipeline(Readable.from(hugeBody(answer.bytes)), response, () => {});
      break;
    case "reset":
      request.socket.destroy();
      break;
    case "cut":
      response.writeHead(answer.status, { "content-length": 1_000, "retry-after": "7" });
      response.write("half", () => request.socket.destroy());
      break;
  }
}

function drip(response: ServerResponse, bytesPerSecond: number): void {
  response.writeHead(200, { "content-type": "application/json" });
  const timer = setInterval(() => response.write(" "), 1000 / bytesPerSecond);
  response.on("close", () => clearInterval(timer));
}

/** Answers with an error of the form that the master uses. */
export function refuse(
  response: ServerResponse,
  status: number,
  detail: string,
): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ detail }));
}

/** A JSON string of `bytes` bytes, of which never more than one chunk is held. */
function* hugeBody(bytes: number): Generator<string> {
  const filler = "a".repeat(chunkBytes);
  yield '"';
  for (let left = bytes - 2; left > 0; left -= chunkBytes) {
    yield filler.slice(0, left);
  }
  yield '"';
}
