import type { SentBody } from "./bodies.ts";
import type { ByteInput } from "./connection.ts";

/** The first line of a call. */
export interface RequestLine {
  readonly method: string;
  readonly target: string;
  readonly protocol: string;
}

/** What follows the first line. */
export interface RequestRest {
  readonly headers: ReadonlyMap<string, string>;
  readonly body: SentBody;
}

/** Whether a call asks for a change. */
export function isChange(method: string): boolean {
  return method !== "GET" && method !== "HEAD";
}

/** Reads the first line of a call; undefined at the end of the input. */
export async function readLine(
  input: ByteInput,
  readBytes?: number,
): Promise<RequestLine | undefined> {
  const line = await input.line(readBytes);
  if (line === undefined) return undefined;
  const [method = "", sent = "", protocol = ""] = line.split(" ");
  // Some clients name the host here too, as they would to a proxy.
  return { method, target: sent.replace(/^http:\/\/[^/]*/, ""), protocol };
}

/** Reads the header fields and the body; undefined when the input ends before. */
export async function readRest(input: ByteInput): Promise<RequestRest | undefined> {
  const headers = await input.headers();
  const text = headers && await input.text(bodyBytes(headers));
  if (headers === undefined || text === undefined) return undefined;
  return { headers, body: { text, type: headers.get("content-type") ?? "" } };
}

/**
 * Reads as much as tells what the call asks for, and leaves its last byte unread, so that the socket
 * is reset when it is closed now. That byte is known: a body is a JSON object.
 */
export async function readSparingly(input: ByteInput): Promise<SentBody | undefined> {
  const headers = await input.headers({ sparing: true });
  if (!headers) return undefined;
  const type = headers.get("content-type") ?? "";
  const bytes = bodyBytes(headers);
  if (bytes === 0) return { text: "", type };
  if (await input.line(1) === undefined) return undefined;
  const text = await input.text(bytes - 1);
  return text === undefined ? undefined : { text: `${text}}`, type };
}

function bodyBytes(headers: ReadonlyMap<string, string>): number {
  return Number(headers.get("content-length") ?? 0);
}
