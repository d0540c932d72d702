import assert from "node:assert/strict";
import type { Finding, Result } from "../doctor/mod.ts";
import { doctorJson, findingText } from "./doctor_text.ts";

function finding(name: string, result: Result): Finding {
  return { check: { name, code: 2, run: () => result }, result };
}

const bad = finding("socket", {
  state: "failed",
  saw: ["one", "two\x1b[31m\nthree"],
  mend: "a\nb",
});

Deno.test("findingText() aligns what was seen, and has the mend beneath", () => {
  assert.equal(
    findingText(bad, false),
    "socket            failed   one\n" +
      `${" ".repeat(27)}two [31m three\n` +
      `${" ".repeat(27)}→ a b\n`,
  );
  assert.equal(
    findingText(finding("api", { state: "skipped", saw: ["off"] }), false),
    "api               skipped  off\n",
  );
});

Deno.test("findingText() colours the state, and nothing else", () => {
  const [first, ...others] = findingText(bad, true).split("\n");
  assert.equal(first, "socket            \x1b[31mfailed   \x1b[0mone");
  assert.ok(!others.join("").includes("\x1b"));
});

Deno.test("doctorJson() has a mend where there is something to mend", () => {
  const good = finding("clock", { state: "ok", saw: ["it is late", "very"] });
  assert.deepEqual(doctorJson([good, bad], 2), {
    status: "CRITICAL",
    exit_code: 2,
    checks: [
      { name: "clock", state: "ok", saw: "it is late; very" },
      { name: "socket", state: "failed", saw: "one; two [31m three", mend: "a b" },
    ],
  });
});
