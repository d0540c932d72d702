import assert from "node:assert/strict";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { type ApplyHistory, historyPathOf, readHistory, readRefusedPush } from "./history.ts";

const at = Date.now();
const whole: ApplyHistory = {
  replaced: [{ topologyId: "A", at }, { topologyId: "B", at: 0 }],
  refused: { code: "conflict", keptId: "A", refusedId: "B", detail: "no\n\x1b[31mred", at },
  loop: { keptId: "A", since: at },
};
const none: ApplyHistory = { replaced: [], refused: null, loop: null };

/** A state folder; `write` writes its history. */
class StateFolder extends TemporaryFolder {
  readonly storePath = `${this.path}/topology.db`;
  readonly historyPath = historyPathOf(this.storePath);

  write(history: unknown): void {
    const text = typeof history === "string" ? history : JSON.stringify(history);
    Deno.writeTextFileSync(this.historyPath, text);
  }
}

Deno.test("readHistory() reads what was written, and ignores further fields", () => {
  using folder = new StateFolder();
  assert.deepEqual(readHistory(folder.storePath), none);
  for (const history of [whole, none]) {
    folder.write(history);
    assert.deepEqual(readHistory(folder.storePath), history);
  }
  folder.write({ ...whole, later: 1 });
  assert.deepEqual(readHistory(folder.storePath).loop, whole.loop);
});

const { refused, loop } = whole;
const replacement = whole.replaced[0]!;
const wrong: Record<string, unknown> = {
  "nothing": "",
  "no JSON": "{",
  "null": null,
  "a number": 7,
  "a list": [],
  "no lists": {},
  "a text for a list": { ...whole, replaced: "AAA" },
  "four replacements": { ...whole, replaced: Array(4).fill(replacement) },
  "a replacement that is null": { ...whole, replaced: [null] },
  "an id that is a number": { ...whole, replaced: [{ ...replacement, topologyId: 7 }] },
  "an id that is too long": { ...whole, loop: { ...loop, keptId: "x".repeat(1001) } },
  "a time that is a text": { ...whole, replaced: [{ ...replacement, at: "now" }] },
  "a time that is a fraction": { ...whole, loop: { ...loop, since: 0.5 } },
  "a time that is too large": JSON.stringify(whole).replaceAll(/"since":\d+/g, '"since":1e300'),
  "a loop that is a text": { ...whole, loop: "A" },
  "a missing loop": { replaced: [], refused: null },
  "an unknown code": { ...whole, refused: { ...refused, code: "toString" } },
  "a refusal of no topology": { ...whole, refused: { ...refused, refusedId: undefined } },
  "a text that is too long": { ...whole, refused: { ...refused, detail: "x".repeat(1001) } },
  "over 16 KiB": { ...whole, later: "x".repeat(2 ** 14) },
};
Deno.test("S26 readHistory() takes anything unexpected for an empty file", () => {
  using folder = new StateFolder();
  for (const [what, history] of Object.entries(wrong)) {
    folder.write(history);
    assert.deepEqual(readHistory(folder.storePath), none, what);
  }
});

// How it reads a folder, a pipe or a link: problems_test.ts.

Deno.test("readRefusedPush() is of the stored topology, recent and in one line", () => {
  using folder = new StateFolder();
  folder.write(whole);
  assert.equal(readRefusedPush(folder.storePath, "A")?.detail, "no [31mred");
  assert.equal(readRefusedPush(folder.storePath, "B"), null);
  for (const minutes of [-11, -9, 9, 11]) {
    folder.write({ ...whole, refused: { ...refused, at: Date.now() + minutes * 60_000 } });
    assert.equal(readRefusedPush(folder.storePath, "A") !== null, Math.abs(minutes) < 10);
  }
});
