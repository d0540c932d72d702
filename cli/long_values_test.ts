import assert from "node:assert/strict";
import { readSection } from "./ini.ts";
import { type KeyName, keys } from "./keys.ts";

const length = 100_000;

/** Runs it, and again if it took long: another program may have had the processor. */
function isFast(work: () => void): boolean {
  return Array.from({ length: 3 }).some(() => {
    const startedAt = performance.now();
    work();
    return performance.now() - startedAt < 1_000;
  });
}

Deno.test("readSection() is done in no time with a line of 100,000 spaces", () => {
  const text = `[agent]\na${" ".repeat(length)}b`;
  const read = () => assert.throws(() => readSection(text, "agent"), /line 2 is neither/);
  assert.ok(isFast(read));
});

Deno.test("readSection() is done in no time with 40,000 keys", () => {
  const lines = Array.from({ length: 40_000 }, (_, index) => `key-${index} = 1`);
  assert.ok(isFast(() => {
    assert.equal(readSection(["[agent]", ...lines].join("\n"), "agent")?.length, 40_000);
  }));
});

Deno.test("readSection() takes the first mark, with the white space around it, as the end of the key", () => {
  const text = "[agent]\nmaster_host \t=  a = b:c \nhost-uuid:=x\ninterval =";
  assert.deepEqual(readSection(text, "agent"), [
    { key: "master-host", value: "a = b:c", line: 2 },
    { key: "host-uuid", value: "=x", line: 3 },
    { key: "interval", value: "", line: 4 },
  ]);
  for (const line of ["= x", "x", ":", "a\u2028 = x"]) {
    assert.throws(() => readSection(`[agent]\n${line}`, "agent"), /line 2 is neither/, line);
  }
});

Deno.test("keys are parsed in no time, however long their values are", () => {
  for (const [name, { parse }] of Object.entries(keys)) {
    for (const unit of ["[", ":", "::", "/", "a.", "a-", "--", ",", " ", "=", "0"]) {
      const value = `[${unit.repeat(length)} !`;
      assert.ok(isFast(() => parse(value)), `${name as KeyName}: ${unit}`);
    }
  }
});
