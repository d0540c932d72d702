import { imageIdOf, newId } from "./items.ts";
import { Refusal } from "./refusal.ts";

/** The images of an engine, by tag; `x` means `x:latest`. */
export class Images implements Iterable<string> {
  /** Tag → id; null when the tag is gone. */
  readonly #ids = new Map<string, string | null>();
  readonly #onChange: () => void;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** Adds an image; without an id, the one that `container({ image })` has. */
  add(name: string, id = imageIdOf(withTag(name))): this {
    this.#ids.set(withTag(name), id);
    this.#onChange();
    return this;
  }

  /** Puts another image under the tag, as a new build does; the answer is its id. */
  rebuild(name: string): string {
    const id = `sha256:${newId()}`;
    this.add(name, id);
    return id;
  }

  /** Takes the tag away; true when it was there. */
  delete(name: string): boolean {
    const isThere = this.has(name);
    if (isThere) this.#ids.set(withTag(name), null);
    this.#onChange();
    return isThere;
  }

  /** Takes all tags away. */
  clear(): void {
    for (const name of this) this.delete(name);
  }

  has(name: string): boolean {
    return this.idOf(name) !== undefined;
  }

  /** The id of the image that the tag stands for now. */
  idOf(name: string): string | undefined {
    return this.#ids.get(withTag(name)) ?? undefined;
  }

  /** The tags. */
  *[Symbol.iterator](): Generator<string> {
    for (const [tag, id] of this.#ids) if (id !== null) yield tag;
  }

  /** The name that the engine lists: the id, once the tag no longer stands for that image. */
  listedName(name: string, id: string): string {
    const now = this.#ids.get(withTag(name));
    return now === undefined || now === id ? name : id;
  }

  /** The image of that tag, id or beginning of an id. Throws `Refusal` (404, 400). */
  find(name: string): { id: string; tags: string[] } {
    const id = /^sha256:[0-9a-f]{64}$/.test(name) ? this.#known(name) : this.#byReference(name);
    if (id === undefined) throw new Refusal(404, `No such image: ${withTag(familiar(name))}`);
    return { id, tags: [...this].filter((tag) => this.idOf(tag) === id) };
  }

  #byReference(name: string): string | undefined {
    const repository = familiar(name).replace(/:[^:/]*$/, "");
    if (/[A-Z]/.test(repository)) {
      throw new Refusal(400, "invalid reference format: repository name must be lowercase");
    }
    if (!/^[a-z0-9][\w./:-]*$/.test(familiar(name))) {
      throw new Refusal(400, "invalid reference format");
    }
    return this.idOf(familiar(name)) ??
      [...this.#ids.values()].find((id) => {
        return /^[0-9a-f]+$/.test(name) && id?.startsWith(`sha256:${name}`);
      }) ?? undefined;
  }

  #known(id: string): string | undefined {
    return [...this.#ids.values()].includes(id) ? id : undefined;
  }
}

function withTag(name: string): string {
  return /:[^/]*$/.test(name) ? name : `${name}:latest`;
}

function familiar(name: string): string {
  return name.replace(/^docker\.io\/(library\/)?/, "");
}
