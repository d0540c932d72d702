import type { driftKinds } from "../topology/mod.ts";

/** A line of a tree, and what hangs below it. */
export interface Branch {
  /** All but the last are as wide as those of its siblings. */
  readonly cells: readonly string[];
  readonly note?: Note | undefined;
  readonly below: readonly Branch[];
}

/** What is not as it should be with something, in words. */
export interface Note {
  readonly kind: (typeof driftKinds)[number];
  readonly text: string;
}

/** A line of a tree that has been drawn. */
export interface TreeLine {
  readonly text: string;
  readonly note: Note | undefined;
}

/** Draws the branches below a root, which is not drawn. */
export function drawTree(branches: readonly Branch[]): TreeLine[] {
  const widths = [0, 1].map((column) =>
    Math.max(0, ...branches.map(({ cells }) => cells[column]?.length ?? 0))
  );
  return branches.flatMap(({ cells, note, below }, index) => {
    const isLast = index === branches.length - 1;
    const line = cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd();
    return [
      { text: `${isLast ? "└─" : "├─"} ${line}`, note },
      ...drawTree(below).map((it) => ({ ...it, text: `${isLast ? "  " : "│ "} ${it.text}` })),
    ];
  });
}
