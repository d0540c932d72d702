import { type Json, NumberToken } from "./json_reader.ts";
import { excerpt } from "./validation/problem.ts";

const maximumNamed = 20;
/** Reading ends here: a hostile document may hold millions. */
const maximumCounted = 10_000;

/** The wrong shapes that a reading has met. */
export class WrongShapes {
  readonly #named: string[] = [];
  #count = 0;

  /** Takes one more; throws as `throwIfAny` does when there are very many. */
  add(describeFault: () => string): void {
    this.#count++;
    if (this.#named.length < maximumNamed) this.#named.push(describeFault());
    if (this.#count >= maximumCounted) this.throwIfAny();
  }

  /** Throws `TypeError`, which names the first of them and counts the rest. */
  throwIfAny(): void {
    if (this.#count === 0) return;
    const others = this.#count - this.#named.length;
    const orMore = this.#count >= maximumCounted ? " or" : "";
    const rest = others > 0 ? `; and ${others}${orMore} more` : "";
    throw new TypeError(`Cannot read the topology: ${this.#named.join("; ")}${rest}`);
  }
}

/** Where a field stands, and who hears of a wrong shape. */
interface Context {
  /** Null for the whole document. */
  readonly parent: Field | null;
  /** The key or the index in the parent. */
  readonly step: string | number;
  /** Null when nothing is to be reported. */
  readonly wrongShapes: WrongShapes | null;
}

/**
 * A value of the document at its place. A wrong shape is reported once and then read as if it were
 * empty, and nothing inside it is reported, so that one reading finds every wrong shape.
 */
export class Field {
  readonly #value: Json | undefined;
  readonly #context: Context;
  #wrongShapes: WrongShapes | null;

  /** The field of a whole document. */
  static ofDocument(document: Json, wrongShapes: WrongShapes): Field {
    return new Field(document, { parent: null, step: "", wrongShapes });
  }

  private constructor(value: Json | undefined, context: Context) {
    this.#value = value;
    this.#context = context;
    this.#wrongShapes = context.wrongShapes;
  }

  /** Whether the document leaves it out or has null here. */
  get isAbsent(): boolean {
    return this.#value === undefined || this.#value === null;
  }

  /** The text; empty when it has the wrong shape. */
  text(): string {
    if (typeof this.#value === "string") return this.#value;
    this.#report("a text");
    return "";
  }

  /** Whether it is true; it may be absent. */
  flag(): boolean {
    if (typeof this.#value !== "boolean" && !this.isAbsent) this.#report("true or false");
    return this.#value === true;
  }

  /** The items of a list. */
  items(): Field[] {
    if (Array.isArray(this.#value)) {
      return this.#value.map((item, index) => this.#inner(item, index));
    }
    this.#report("a list");
    return [];
  }

  /** One member of an object. */
  member(key: string): Field {
    return this.#inner(this.#object()[key], key);
  }

  /** Every member of an object. */
  members(): [key: string, field: Field][] {
    return Object.entries(this.#object()).map(([key, value]) => [key, this.#inner(value, key)]);
  }

  #inner(value: Json | undefined, step: string | number): Field {
    return new Field(value, { parent: this, step, wrongShapes: this.#wrongShapes });
  }

  #object(): { readonly [key: string]: Json } {
    const value = this.#value;
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value) &&
      !(value instanceof NumberToken);
    if (isObject) return value;
    this.#report("an object");
    return {};
  }

  #report(wanted: string): void {
    this.#wrongShapes?.add(() =>
      `${this.#place || "the document"} must be ${wanted}, but is ${nameOf(this.#value)}`
    );
    this.#wrongShapes = null;
  }

  /** Made only when it is reported: a document may have millions of fields. */
  get #place(): string {
    const { parent, step } = this.#context;
    if (!parent) return "";
    const outer = parent.#place;
    if (typeof step === "number") return `${outer}[${step}]`;
    return outer === "" ? step : `${outer}.${excerpt(step)}`;
  }
}

function nameOf(value: Json | undefined): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  if (typeof value === "string") return "a text";
  if (typeof value === "boolean") return String(value);
  if (value instanceof NumberToken) return "a number";
  return Array.isArray(value) ? "a list" : "an object";
}
