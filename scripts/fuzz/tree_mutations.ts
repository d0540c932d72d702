import { randomDocument } from "../random_document.ts";
import type { Chance } from "./chance.ts";
import { hostileText, type TextKind } from "./hostile_texts.ts";
import { slotsOf, type Tree, write } from "./json_tree.ts";

const numbers = [
  ..."0 -0 -1 1 1.0 1e5 1e999 -1e999 1e-999 0.1 9007199254740993 4294967296 2147483648".split(" "),
  "1".repeat(400),
  `0.${"1".repeat(400)}`,
];
/** What is no JSON, or only nearly so. */
const brokenTokens = [
  ...'NaN Infinity undefined 01 .5 1. +1 0x10 \'a\' {a:1} [1,] {,} // /**/ nul True "\\u12" "\\x"'
    .split(" "),
  '"\n"',
  '"\0"',
  '"',
  "",
];
const kindByKey: readonly (readonly [pattern: RegExp, kind: TextKind])[] = [
  [/name|services|^"?$/, "name"],
  [/subnet/, "subnet"],
  [/ip|LAN|lan/, "address"],
  [/image/, "image"],
  [/id/, "id"],
];

/** Changes a tree in place, in up to so many ways, keeping it JSON for the most part. */
export function mutateTree(tree: Tree, chance: Chance, times: number): void {
  for (let count = 0; count < times; count++) {
    const slots = slotsOf(tree);
    if (slots.length === 0) return;
    const slot = chance.pick(slots);
    const kind = kindByKey.find(([pattern]) => pattern.test(slot.key))?.[1] ?? "any";
    chance.any(
      () => slot.replace(textLeaf(hostileText(chance, kind))),
      () => slot.replace(textLeaf(hostileText(chance, kind))),
      () => slot.replace(textLeaf(hostileText(chance, kind))),
      () => slot.replace(oddValue(chance)),
      () => slot.replace({ items: [slot.value] }),
      () => slot.replace({ members: [[oddKey(chance), slot.value]] }),
      // Written out: a tree that held itself would have no end.
      () => slot.replace({ raw: write(chance.pick(slots).value) }),
      () => slot.remove(),
      () => slot.repeat(),
      () => slot.rename(chance.any(() => oddKey(chance), () => chance.pick(slots).key)),
      () => slot.replace(deep(chance, slot.value)),
      () => slot.replace({ raw: randomDocument(chance.random) }),
    );
  }
}

function textLeaf(text: string): Tree {
  return { raw: JSON.stringify(text) };
}

/** A value of another type, or none. */
function oddValue(chance: Chance): Tree {
  const raw = chance.any(
    () => chance.pick(["null", "true", "false", "{}", "[]", '""', "[[]]", "[{}]"]),
    () => chance.pick(numbers),
    () => chance.isOneIn(3) ? chance.pick(brokenTokens) : "null",
    () => `[${chance.times(chance.few(200), () => chance.pick(numbers)).join(",")}]`,
  );
  return { raw };
}

function oddKey(chance: Chance): string {
  return chance.any(
    () => JSON.stringify(hostileText(chance)),
    () => chance.pick(['"__proto__"', '"constructor"', '"\\u0069d"', '"status"', '"version"']),
    () => `"${chance.below(2 ** 32)}"`,
  );
}

/** A value at the bottom of a pit. */
function deep(chance: Chance, value: Tree): Tree {
  const depth = chance.pick([1, 10, 240, 250, 256, 257, 300, 5_000]);
  const [open, close] = chance.pick([["[", "]"], ['{"a":', "}"]] as const);
  return { raw: open.repeat(depth) + write(value) + close.repeat(chance.isOneIn(9) ? 0 : depth) };
}
