import { type Json, type JsonObject, NumberToken } from "./json.ts";
import { excerpt } from "./problem.ts";

const maximumNamed = 20;

/** The first wrong shapes of a document, and how many there are: it may have thousands. */
interface ShapeErrors {
  readonly named: string[];
  count: number;
}

/** Reads a document. Throws `TypeError` with the first twenty wrong shapes, behind `heading`. */
export function readShapes<T>(document: Json, heading: string, read: (root: JsonCursor) => T): T {
  const errors: ShapeErrors = { named: [], count: 0 };
  const result = read(new JsonCursor(document, errors, () => ""));
  if (errors.count === 0) return result;
  const rest = errors.count > maximumNamed ? `; and ${errors.count - maximumNamed} more` : "";
  throw new TypeError(`${heading}${errors.named.join("; ")}${rest}`);
}

/** A value of the document. Reports a wrong shape once, then reads it as empty, to find every one. */
export class JsonCursor {
  readonly #value: Json | undefined;
  /** Null after an error of this value or of one that contains it. */
  #errors: ShapeErrors | null;
  readonly #place: () => string;

  /** `place` is called when a wrong shape is reported: a document may have thousands of fields. */
  constructor(value: Json | undefined, errors: ShapeErrors | null, place: () => string) {
    this.#value = value;
    this.#errors = errors;
    this.#place = place;
  }

  /** Whether it is missing or null. */
  get isAbsent(): boolean {
    return this.#value === undefined || this.#value === null;
  }

  /** The string; empty when the shape is wrong. */
  text(): string {
    if (typeof this.#value === "string") return this.#value;
    this.#expected("string");
    return "";
  }

  /** The string, or undefined when it is absent. */
  optionalText(): string | undefined {
    return this.isAbsent ? undefined : this.text();
  }

  /** Whether it is true; false when it is absent. */
  flag(): boolean {
    if (typeof this.#value !== "boolean" && !this.isAbsent) this.#expected("true or false");
    return this.#value === true;
  }

  /** The string if `isAllowed` accepts it; `wanted` says in words what it accepts. */
  matching(isAllowed: (text: string) => boolean, wanted: string): string {
    if (typeof this.#value === "string" && !isAllowed(this.#value)) {
      this.#expected(wanted, excerpt(this.#value));
    }
    return this.text();
  }

  /** The string if it is one of `words`. */
  oneOf<Word extends string>(words: readonly Word[]): Word {
    const isWord = (text: string) => (words as readonly string[]).includes(text);
    return this.matching(isWord, words.join(" or ")) as Word;
  }

  /** The items of a list; none when it is absent. */
  optionalItems(): JsonCursor[] {
    return this.isAbsent ? [] : this.items();
  }

  /** The items of a list. */
  items(): JsonCursor[] {
    if (!Array.isArray(this.#value)) {
      this.#expected("array");
      return [];
    }
    return this.#value.map((item, index) =>
      new JsonCursor(item, this.#errors, () => `${this.#place()}[${index}]`)
    );
  }

  /** One member of an object. */
  member(key: string): JsonCursor {
    return this.#member(key, this.object()[key]);
  }

  /** Every member of an object. */
  members(): [key: string, cursor: JsonCursor][] {
    return Object.entries(this.object()).map(([key, value]) => [key, this.#member(key, value)]);
  }

  /** Reports each member of an object that is not one of `keys`. */
  allowOnly(...keys: readonly string[]): void {
    for (const [key, cursor] of this.members()) {
      if (!keys.includes(key)) cursor.report(`unknown key, not one of ${keys.join(", ")}`);
    }
  }

  #member(key: string, value: Json | undefined): JsonCursor {
    const place = () => [this.#place(), excerpt(key)].filter(Boolean).join(".");
    return new JsonCursor(value, this.#errors, place);
  }

  /** The object as it is; empty when the shape is wrong. */
  object(): JsonObject {
    const value = this.#value;
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value) &&
      !(value instanceof NumberToken);
    if (isObject) return value;
    this.#expected("object");
    return {};
  }

  /** Reports what is wrong with the value; only once. */
  report(fault: string): void {
    const errors = this.#errors;
    this.#errors = null;
    if (errors === null || ++errors.count > maximumNamed) return;
    errors.named.push(`${this.#place() || "the document"}: ${fault}`);
  }

  #expected(wanted: string, got = shapeOf(this.#value)): void {
    this.report(`expected ${wanted}, got ${got}`);
  }
}

/** Names the JSON type of a value, and shows nothing else of it. */
export function shapeOf(value: Json | undefined): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (value instanceof NumberToken) return "number";
  return Array.isArray(value) ? "array" : typeof value;
}
