import assert from "node:assert/strict";
import { type HttpResponse, type ReadBytes, ResponseReader } from "../../host/http.ts";
import { SeededRandom } from "./random.ts";

/** How many bytes the next read may bring. */
export type Cut = () => number;

/** The limit on a body, in bytes. */
export const bodyLimit = 100_000;
/** A head that misses its framing. */
export const head = "HTTP/1.1 200 OK\r\n";
/** The head of an answer in chunks. */
export const chunkedHead = `${head}Transfer-Encoding: chunked\r\n\r\n`;
/** What is said of an answer that ends too early. */
export const cutShort = /answer-cut/;

/**
 * A reader of a stream that ends, and how many bytes of it have been read. To read on after the end
 * is an error, lest a loop go on for ever.
 */
export function read(stream: string | Uint8Array, cut: Cut = whole) {
  const bytes = typeof stream === "string" ? encode(stream) : stream;
  const source = { consumed: 0 };
  let ended = false;
  const readStream: ReadBytes = (into) => {
    assert.ok(!ended, "read again after the end");
    assert.ok(into.length > 0, "no room to read into");
    const length = Math.min(cut(), into.length, bytes.length - source.consumed);
    into.set(bytes.subarray(source.consumed, source.consumed + length));
    source.consumed += length;
    ended = length === 0;
    return Promise.resolve(ended ? null : length);
  };
  return { reader: new ResponseReader(readStream, bodyLimit), source };
}

/** The cut that leaves everything in one piece. */
export function whole(): number {
  return Infinity;
}

/** The cut into single bytes. */
export function byteByByte(): number {
  return 1;
}

/** Everything at once, byte by byte, and pieces of 1 to 12 bytes. */
export function cuts(): Cut[] {
  const pieces = Array.from({ length: 20 }, (_, seed): Cut => {
    const random = new SeededRandom(seed);
    return () => 1 + random.below(12);
  });
  return [whole, byteByByte, ...pieces];
}

/** The status and the body of an answer. */
export function summary({ status, body }: HttpResponse): [number, string] {
  return [status, new TextDecoder().decode(body)];
}

/** One byte for each character. */
export function encode(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/**
 * Listens at `path`, and on each connection, as soon as the client has sent something, says each of
 * `parts` after waiting as many milliseconds, then waits for the client to close.
 */
export function scriptSocket(
  path: string,
  parts: readonly { readonly afterMs?: number; readonly text: string }[],
): AsyncDisposable {
  const listener = Deno.listen({ transport: "unix", path });
  const talking: Promise<void>[] = [];
  const talk = async (connection: Deno.Conn) => {
    const heard = new Uint8Array(4096);
    try {
      await connection.read(heard);
      for (const { afterMs = 0, text } of parts) {
        if (afterMs > 0) await new Promise((resolve) => setTimeout(resolve, afterMs));
        await connection.write(new TextEncoder().encode(text));
      }
      while (await connection.read(heard) !== null) { /* until it closes */ }
    } catch (error) {
      if (!(error instanceof Error && "code" in error)) throw error; // It closed before.
    } finally {
      connection.close();
    }
  };
  const accepting = (async () => {
    for await (const connection of listener) talking.push(talk(connection));
  })();
  return {
    async [Symbol.asyncDispose]() {
      listener.close(); // This removes the file, too.
      await Promise.all([accepting, ...talking]);
    },
  };
}
