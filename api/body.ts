import type { IncomingMessage } from "node:http";
import type { Json } from "../topology/mod.ts";
import { NumberToken, parseJson } from "../topology/mod.ts";
import { HttpError } from "./answer.ts";
import type { Bounds } from "./bounds.ts";

/** A JSON object as it came, its fields not looked at. */
export type JsonObject = { readonly [key: string]: Json };

/** The client went away before its request was complete: there is nobody to answer. */
export class ClientGone extends Error {
  override readonly name = "ClientGone";
}

/** How a body is read. */
export interface BodyOptions {
  readonly bounds: Bounds;
  /** Aborted when the connection is gone. */
  readonly gone: AbortSignal;
}

/**
 * Reads a body that must be a JSON object. Throws `HttpError` 413, 408 or 422, and `ClientGone`.
 */
export async function readObject(
  request: IncomingMessage,
  options: BodyOptions,
): Promise<JsonObject> {
  const bytes = await readBytes(request, options);
  let body: Json;
  try {
    body = parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    if (error instanceof SyntaxError) throw new HttpError(422, error.message);
    throw new HttpError(422, "Cannot read the document: it is not UTF-8");
  }
  return objectOf(body, "the body");
}

/** The value as an object. Throws `HttpError` 422, which calls it `name`. */
export function objectOf(value: Json | undefined, name: string): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    if (!(value instanceof NumberToken)) return value;
  }
  throw new HttpError(422, `${name} must be an object`);
}

/** The value as a text. Throws `HttpError` 422, which calls it `name`. */
export function textOf(value: Json | undefined, name: string): string {
  if (typeof value === "string") return value;
  throw new HttpError(422, `${name} must be a string`);
}

async function readBytes(
  request: IncomingMessage,
  { bounds: { maximumBodyBytes, bodyTimeoutMs }, gone }: BodyOptions,
): Promise<Uint8Array> {
  const tooLarge = new HttpError(413, `the body is larger than ${maximumBodyBytes} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > maximumBodyBytes) throw tooLarge;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  const keep = (chunk: Uint8Array<ArrayBuffer>) => {
    length += chunk.length;
    if (length > maximumBodyBytes) reject(tooLarge);
    else chunks.push(chunk);
  };
  // The server's own bound counts from the request's first byte and is looked at now and then.
  const timer = setTimeout(() => {
    reject(new HttpError(408, `the body did not come within ${bodyTimeoutMs / 1000} s`));
  }, bodyTimeoutMs);
  const leave = () => reject(new ClientGone());
  request.on("data", keep).once("end", resolve).once("error", leave).once("close", leave);
  // A request says nothing when its connection is cut because of what came after it.
  gone.addEventListener("abort", leave, { once: true });
  if (gone.aborted) leave();
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    request.off("data", keep);
    gone.removeEventListener("abort", leave);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
