import assert from "node:assert/strict";
import { decky, lan, topology } from "../../tests/sample_topology.ts";
import { checkDmz } from "./dmz.ts";

/** Checks LANs, of which those in upper case are DMZs, and deckies, each given by its LANs. */
function check(lans: string[], deckies: string[][] = []): string[] {
  const problems = checkDmz(topology({
    lans: lans.map((name) => lan(name, { isDmz: name !== name.toLowerCase() })),
    deckies: deckies.map((names, index) =>
      decky(`decky-${index}`, {
        addresses: Object.fromEntries(names.map((name) => [name, "10.0.0.2"])),
      })
    ),
  }));
  return problems.map(({ code, message }) => `[${code}] ${message}`);
}

/** The LANs that are said to have no path to the DMZ. */
function orphans(lans: string[], deckies: string[][]): string[] {
  return check(lans, deckies).flatMap((text) =>
    /^\[DMZ_ORPHAN\] (\w+) at lans\[\d+\]: /.exec(text)?.[1] ?? []
  );
}

Deno.test("checkDmz() takes a document with no LANs and no deckies", () => {
  assert.deepEqual(check([]), []);
});

Deno.test("checkDmz() finds no DMZ among LANs or beside deckies, and then no orphans", () => {
  const message = "[DMZ_MISSING] topology 7c9e6679 at lans: no LAN has is_dmz";
  assert.deepEqual(check(["a", "b"]), [message]);
  assert.deepEqual(check([], [[]]), [message]);
});

Deno.test("checkDmz() names the DMZs when there are several", () => {
  assert.deepEqual(check(["A"]), []);
  assert.deepEqual(check(["A", "b", "C"], [["A", "b"]]), [
    "[DMZ_MULTIPLE] topology 7c9e6679 at lans: only one LAN may have is_dmz, " +
    "but A at lans[0], C at lans[2] have it",
  ]);
});

Deno.test("checkDmz() names ten DMZs and counts the others", () => {
  const lans = Array.from({ length: 12 }, (_, index) => `L${index}`);
  assert.match(check(lans)[0]!, /, L9 at lans\[9\], 2 more have it$/);
});

Deno.test("checkDmz() finds LANs without a path to a DMZ", () => {
  const cases: [lans: string[], deckies: string[][], orphans: string[]][] = [
    [["A"], [], []],
    [["A", "b"], [["A", "b"]], []],
    [["A", "b"], [["A"], ["b"]], ["b"]],
    [["A", "b"], [], ["b"]],
    [["b", "c", "A"], [["b", "c"], ["c", "A"]], []],
    [["b", "c", "A", "d", "e"], [["b", "A"], ["d", "e"]], ["c", "d", "e"]],
    [["A", "b", "c", "d"], [["b", "c", "d", "A"]], []],
    // A LAN that is not in the document makes no path.
    [["A", "b"], [["A", "x"], ["x", "b"]], ["b"]],
    // Every DMZ is a start.
    [["A", "b", "C", "d", "e"], [["A", "b"], ["C", "d"]], ["e"]],
  ];
  for (const [lans, deckies, expected] of cases) {
    assert.deepEqual(orphans(lans, deckies), expected, JSON.stringify([lans, deckies]));
  }
});

Deno.test("checkDmz() says where an orphan is", () => {
  assert.deepEqual(check(["A", "b"]), [
    "[DMZ_ORPHAN] b at lans[1]: no deckies on several LANs make a path from it to the DMZ",
  ]);
});
