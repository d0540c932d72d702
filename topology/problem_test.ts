import assert from "node:assert/strict";
import { describeProblems, excerpt, named, problem } from "./problem.ts";

function problems(count: number): string[] {
  return Array.from(
    { length: count },
    (_, index) => problem("DECKY_ORPHAN", named(`decky-${index}`, `deckies[${index}]`), "fault"),
  );
}

Deno.test("problem() begins its message with the subject and the place", () => {
  assert.equal(
    problem("LAN_NAME_DUP", named("LAN-01", "lans[1].name"), "taken"),
    "[LAN_NAME_DUP] LAN-01 at lans[1].name: taken",
  );
});

Deno.test("describeProblems() counts the problems and lists them with their codes", () => {
  assert.equal(
    describeProblems(problems(2)),
    "2 topology validation error(s): [DECKY_ORPHAN] decky-0 at deckies[0]: fault; " +
      "[DECKY_ORPHAN] decky-1 at deckies[1]: fault",
  );
});

Deno.test("describeProblems() lists a thousand problems and counts the others", () => {
  assert.match(describeProblems(problems(1000)), /^1000 .+decky-999 at deckies\[999\]: fault$/);
  assert.match(
    describeProblems(problems(1001)),
    /^1001 .+decky-999 at deckies\[999\]: fault; and 1 more$/,
  );
});

Deno.test("excerpt() leaves a plain name alone and puts any other in quotes", () => {
  const cases: [text: string, expected: string][] = [
    ["LAN-00", "LAN-00"],
    ["10.0.0.0/24", "10.0.0.0/24"],
    ["reg:5000/a_b@sha256:0", "reg:5000/a_b@sha256:0"],
    ["", '""'],
    ["a b", '"a b"'],
    ["a; [X] b", '"a; [X] b"'],
    ["größe", '"größe"'],
    ["a\n\u001b[2J\u009b\u0000", '"a\ufffd\ufffd[2J\ufffd\ufffd"'],
    ["\u202etxt\u2028\u2029", '"\ufffdtxt\ufffd\ufffd"'],
    ["\ud800a\udc00", '"\ufffda\ufffd"'],
  ];
  for (const [text, expected] of cases) assert.equal(excerpt(text), expected);
});

Deno.test("excerpt() shows at most 80 characters, never half of one", () => {
  const cases: [text: string, expected: string][] = [
    ["a".repeat(80), "a".repeat(80)],
    ["a".repeat(81), "a".repeat(79) + "…"],
    ["a".repeat(8 << 20), "a".repeat(79) + "…"],
    ["😀".repeat(80), `"${"😀".repeat(80)}"`],
    ["😀".repeat(81), `"${"😀".repeat(79)}…"`],
    ["a" + "😀".repeat(1 << 20), `"a${"😀".repeat(78)}…"`],
  ];
  for (const [text, expected] of cases) assert.equal(excerpt(text), expected);
});
