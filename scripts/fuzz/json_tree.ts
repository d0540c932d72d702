/**
 * JSON as it can be written, not only as it can be read: keys may stand twice, and a leaf is any
 * text, also of what is no JSON.
 */
export type Tree = Leaf | List | Members;

/** Text that is written as it is. */
export interface Leaf {
  raw: string;
}
/** A list. */
export interface List {
  items: Tree[];
}
/** An object; the keys are written as they are, with their quotes. */
export interface Members {
  members: [key: string, value: Tree][];
}

/** The tree of a value that `JSON.parse` could have made. */
export function treeOf(value: unknown): Tree {
  if (Array.isArray(value)) return { items: value.map(treeOf) };
  if (typeof value !== "object" || value === null) return { raw: JSON.stringify(value) };
  const members = Object.entries(value);
  return { members: members.map(([key, item]) => [JSON.stringify(key), treeOf(item)]) };
}

/** The text of a tree. */
export function write(tree: Tree): string {
  if ("raw" in tree) return tree.raw;
  if ("items" in tree) return `[${tree.items.map(write).join(",")}]`;
  return `{${tree.members.map(([key, value]) => `${key}:${write(value)}`).join(",")}}`;
}

/** A place in a tree that holds another tree, and what the place is called. */
export interface Slot {
  readonly key: string;
  readonly value: Tree;
  replace(value: Tree): void;
  remove(): void;
  /** Puts it there once more. */
  repeat(): void;
  /** Gives it another key, where it has one. */
  rename(key: string): void;
}

/** Every place in a tree, the inner ones after the outer ones. */
export function slotsOf(tree: Tree): Slot[] {
  const slots: Slot[] = [];
  const visit = (it: Tree) => {
    if ("raw" in it) return;
    const list: (Tree | [string, Tree])[] = "items" in it ? it.items : it.members;
    list.forEach((entry, index) => {
      const [key, value] = Array.isArray(entry) ? entry : ["", entry];
      const put = (key: string, value: Tree) =>
        Array.isArray(entry) ? [key, value] as const : value;
      slots.push({
        key,
        value,
        replace: (other) => list[index] = put(key, other) as typeof entry,
        remove: () => list.splice(list.indexOf(entry), 1),
        repeat: () => list.push(put(key, value) as typeof entry),
        rename: (other) => list[index] = put(other, value) as typeof entry,
      });
      visit(value);
    });
  };
  visit(tree);
  return slots;
}
