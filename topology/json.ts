/** A number exactly as it is written in the document. */
export class NumberToken {
  constructor(readonly text: string) {}
}

/** A parsed document; its objects have no prototype. */
export type Json = null | boolean | string | NumberToken | Json[] | { [key: string]: Json };

/** An object of a parsed document. */
export type JsonObject = { readonly [key: string]: Json };

/** Limit for nesting; a topology needs about eight levels. */
const maximumDepth = 256;
const tooDeep = `it nests deeper than ${maximumDepth} levels`;

/** Limit for values in a document; the largest valid topology has about 300,000. */
export const maximumValues = 350_000;

/** Limit for keys that are numbers. V8 hashes them without a secret: 60,000 can block for a minute. */
export const maximumNumericKeys = 10_000;

/** Not JSON, or over a limit. */
export class DocumentError extends SyntaxError {
  constructor(readonly reason: string) {
    super(`Cannot read the document: ${reason}`);
  }
}

/**
 * Parses a document. Numbers keep their text, as the version hash needs it: `1.0` stays `1.0`. The last of
 * two equal keys wins. Throws `DocumentError`.
 *
 * Not `JSON.parse`: V8 15.0 may confuse a key with an escape and an earlier key (nodejs/node#63785); two
 * documents would have one hash.
 */
export function parseJson(text: string): Json {
  return new JsonReader(text).read();
}

// deno-lint-ignore no-control-regex
const special = /[\\\x00-\x1f]/;

class JsonReader {
  readonly #text: string;
  /** Whether no string has an escape, or a character that it may not have. */
  readonly #isPlain: boolean;
  #at = 0;
  #values = 0;
  #numericKeys = 0;

  constructor(text: string) {
    this.#text = text;
    this.#isPlain = !special.test(text);
  }

  /** Throws `DocumentError`, which has the position but no content. */
  read(): Json {
    const value = this.#value(0);
    if (this.#peek() !== undefined) throw this.#unexpected();
    return value;
  }

  #value(depth: number): Json {
    if (++this.#values > maximumValues) {
      throw new DocumentError(`it holds more than ${maximumValues} values`);
    }
    switch (this.#peek()) {
      case "{":
        return this.#object(depth);
      case "[":
        return this.#list(depth);
      case '"':
        return this.#string();
    }
    const token = this.#match(/null|true|false|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y);
    if (token === "null") return null;
    return token === "true" || (token === "false" ? false : new NumberToken(token));
  }

  #object(depth: number): Json {
    // Without a prototype, `__proto__` is a key like any other.
    const object: { [key: string]: Json } = Object.create(null);
    for (let isFirst = true; this.#hasItem("}", depth, isFirst); isFirst = false) {
      if (this.#peek() !== '"') throw this.#unexpected();
      const key = this.#string();
      if (key < ":" && /^\d{1,10}$/.test(key) && ++this.#numericKeys > maximumNumericKeys) {
        throw new DocumentError(`it holds more than ${maximumNumericKeys} keys that are numbers`);
      }
      if (this.#peek() !== ":") throw this.#unexpected();
      this.#at++;
      object[key] = this.#value(depth + 1);
    }
    return object;
  }

  #list(depth: number): Json[] {
    const list: Json[] = [];
    for (let isFirst = true; this.#hasItem("]", depth, isFirst); isFirst = false) {
      list.push(this.#value(depth + 1));
    }
    return list;
  }

  /** Reads the opening bracket or a comma, and returns true; or the closing bracket. */
  #hasItem(end: string, depth: number, isFirst: boolean): boolean {
    if (depth >= maximumDepth) throw new DocumentError(tooDeep);
    if (isFirst) this.#at++;
    const mark = this.#peek();
    if (!isFirst && mark !== end && mark !== ",") throw this.#unexpected();
    if (!isFirst || mark === end) this.#at++;
    return mark !== end;
  }

  #string(): string {
    const start = this.#at;
    let end = start;
    do end = this.#text.indexOf('"', end + 1); while (!this.#isPlain && this.#isEscaped(end));
    if (end < 0) throw this.#unexpected();
    this.#at = end + 1;
    const content = this.#text.slice(start + 1, end);
    if (this.#isPlain || !special.test(content)) return content;
    try {
      // Safe here: the bug in V8 concerns only keys of objects.
      return JSON.parse(`"${content}"`);
    } catch {
      this.#at = start;
      throw this.#unexpected();
    }
  }

  #isEscaped(at: number): boolean {
    let first = at;
    while (this.#text[first - 1] === "\\") first--;
    return (at - first) % 2 === 1;
  }

  /** Skips white space and returns the next character; undefined at the end. */
  #peek(): string | undefined {
    while (this.#text[this.#at]! <= " " && " \t\n\r".includes(this.#text[this.#at]!)) this.#at++;
    return this.#text[this.#at];
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const [token] = pattern.exec(this.#text) ?? [];
    if (token === undefined) throw this.#unexpected();
    this.#at += token.length;
    return token;
  }

  #unexpected(): DocumentError {
    const isAtEnd = this.#at >= this.#text.length;
    const where = isAtEnd ? ": it ends too early" : ` at character ${this.#at + 1}`;
    return new DocumentError(`it is not valid JSON${where}`);
  }
}

/**
 * Writes a document as ASCII, without spaces, its keys sorted by code point, which is what Python
 * calls `json.dumps(document, sort_keys=True, separators=(",", ":"))`; `number` writes a number from
 * its text, and the keys in `dropped` are left out at every depth.
 * Throws `DocumentError` when it nests deeper than `maximumDepth`.
 */
export function writeJson(
  document: Json,
  number: (text: string) => string = (text) => text,
  dropped: ReadonlySet<string> = new Set(),
): string {
  const write = (value: Json, depth: number): string => {
    if (value === null || typeof value === "boolean") return String(value);
    if (typeof value === "string") return quote(value);
    if (value instanceof NumberToken) return number(value.text);
    if (depth >= maximumDepth) throw new DocumentError(tooDeep);
    const inner = (it: Json) => write(it, depth + 1);
    if (Array.isArray(value)) return `[${value.map(inner).join(",")}]`;
    const keys = Object.keys(value).filter((key) => !dropped.has(key)).sort(compareCodePoints);
    return `{${keys.map((key) => `${quote(key)}:${inner(value[key]!)}`).join(",")}}`;
  };
  return write(document, 0);
}

/** Compares strings by code point, like Python; JavaScript compares UTF-16 units. */
export function compareCodePoints(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  let at = 0;
  while (at < shorter && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  // The difference may lie in the second half of a surrogate pair: compare the whole code point.
  const before = at > 0 ? a.codePointAt(at - 1)! - b.codePointAt(at - 1)! : 0;
  return before || (a.codePointAt(at) ?? -1) - (b.codePointAt(at) ?? -1);
}

/** Quotes a string in ASCII; `JSON.stringify` leaves other characters as they are. */
function quote(text: string): string {
  // In pieces of up to 1000 units, as V8 keeps every replacement until the end.
  return JSON.stringify(text).replace(/[\x7f-\uffff]{1,1000}/g, (units) => {
    const escaped: string[] = [];
    for (let at = 0; at < units.length; at++) {
      escaped.push(`\\u${units.charCodeAt(at).toString(16).padStart(4, "0")}`);
    }
    // Joined, as `+=` would keep a chain of all pieces in memory.
    return escaped.join("");
  });
}
