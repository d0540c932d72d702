/** A target as the command line knows it. */
export interface TargetEntry {
  readonly name: string;
  /** Its part of all cases. */
  readonly share: number;
  /** The module with its `open()`. */
  readonly module: string;
}

const shares = { document: 0.36, ini: 0.25, engine: 0.2, store: 0.08, api: 0.07, master: 0.04 };

/** All targets, in the order in which they run. */
export const targets: readonly TargetEntry[] = Object.entries(shares).map(([name, share]) => ({
  name,
  share,
  module: new URL(`${name}_target.ts`, import.meta.url).href,
}));
