/**
 * JSON whose numbers keep the text they were written with: `1.0` stays `1.0`, and an integer of
 * thirty digits stays whole. The version hash and the stored document both depend on it.
 */

import { type Json, JsonReader, maximumDepth, NumberToken, tooDeep } from "./json_reader.ts";

export { type Json, maximumDepth, NumberToken };

/**
 * Parses a document, keeping the text of each number. Of two equal keys the last one wins.
 * Throws `SyntaxError` when it is not JSON or nests deeper than `maximumDepth`.
 */
export function parseJson(text: string): Json {
  return new JsonReader(text).read();
}

/** How `writeJson` writes a document; by default every key and the numbers' own text. */
export interface WriteOptions {
  /** Writes a number from its text. */
  number?: (text: string) => string;
  /** Keys left out at every depth. */
  dropped?: ReadonlySet<string>;
}

/**
 * Writes a document as ASCII, without spaces, its keys sorted by code point, which is what Python
 * calls `json.dumps(document, sort_keys=True, separators=(",", ":"))`.
 * Throws `SyntaxError` when it nests deeper than `maximumDepth`.
 */
export function writeJson(document: Json, options: WriteOptions = {}): string {
  const { number = (text) => text, dropped = new Set() } = options;
  const write = (value: Json, depth: number): string => {
    if (value === null || typeof value === "boolean") return String(value);
    if (typeof value === "string") return quote(value);
    if (value instanceof NumberToken) return number(value.text);
    if (depth >= maximumDepth) throw tooDeep();
    if (Array.isArray(value)) {
      return `[${value.map((item) => write(item, depth + 1)).join(",")}]`;
    }
    const members = Object.keys(value).filter((key) => !dropped.has(key)).sort(
      compareCodePoints,
    )
      .map((key) => `${quote(key)}:${write(value[key]!, depth + 1)}`);
    return `{${members.join(",")}}`;
  };
  return write(document, 0);
}

/** Orders strings by code point, as Python does; JavaScript's own order is by UTF-16 unit. */
export function compareCodePoints(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  let at = 0;
  while (at < shorter && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  // The difference may lie in the second half of a surrogate pair: compare the whole code point.
  if (at > 0 && isHighSurrogate(a.charCodeAt(at - 1))) {
    const difference = a.codePointAt(at - 1)! - b.codePointAt(at - 1)!;
    if (difference !== 0) return difference;
  }
  return (a.codePointAt(at) ?? -1) - (b.codePointAt(at) ?? -1);
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

/** `JSON.stringify` escapes all that it must; what is left is to keep to ASCII. */
function quote(text: string): string {
  // Not one by one: the runtime keeps each replacement until the last.
  return JSON.stringify(text).replace(/[\x7f-\uffff]{1,1000}/g, (units) => {
    const escaped: string[] = [];
    for (let at = 0; at < units.length; at++) {
      escaped.push(`\\u${units.charCodeAt(at).toString(16).padStart(4, "0")}`);
    }
    // One text, where adding up would make a chain of as many pieces.
    return escaped.join("");
  });
}
