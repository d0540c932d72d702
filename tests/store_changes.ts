/** Changes to a store as a seed gives them, and what each makes of a row. */

import type { TopologyStore } from "../store/mod.ts";

/** A call of a writing method. */
export interface StoreChange {
  readonly method: "put" | "recordError" | "clear";
  /** Different in each: it becomes the hash, the error and a part of the document. */
  readonly text: string;
  /** How long the document is, in characters. */
  readonly size: number;
}

/** What a row holds, without its time. */
export interface StoreRow {
  readonly versionHash: string;
  readonly document: string;
  readonly lastError: string | null;
}

/** The only topology. */
export const topologyId = "A";

/** The change of so many; a third of the documents have many pages. */
export function changeOf(number: number, random: () => number): StoreChange {
  const draw = random();
  const method = draw < 0.55 ? "put" : draw < 0.85 ? "recordError" : "clear";
  const size = Math.floor(random() * (random() < 0.3 ? 200_000 : 3_000));
  return { method, text: `change ${number} ${Math.floor(random() * 1e9)}`, size };
}

/** Calls the method. */
export function carryOut(store: TopologyStore, { method, text, size }: StoreChange): void {
  if (method === "put") store.put(topologyId, text, documentOf(text, size));
  else if (method === "recordError") store.recordError(topologyId, text, documentOf(text, size));
  else store.clear(topologyId);
}

/** What the row is afterwards. */
export function after(
  row: StoreRow | null,
  { method, text, size }: StoreChange,
): StoreRow | null {
  const document = documentOf(text, size);
  if (method === "clear") return null;
  if (method === "put") return { versionHash: text, document, lastError: null };
  return { ...(row ?? { versionHash: "", document }), lastError: text };
}

/** What the row is; throws what the store throws. */
export function rowOf(store: TopologyStore): StoreRow | null {
  const row = store.current();
  if (!row) return null;
  const { versionHash, document, lastError } = row;
  return { versionHash, document, lastError };
}

function documentOf(text: string, size: number): string {
  const pattern = `${text}; `;
  return JSON.stringify({ text: pattern.repeat(Math.ceil(size / pattern.length)) });
}
