import assert from "node:assert/strict";
import type { Check, Result } from "./check.ts";
import { failed, ok, skipped, warning } from "./check.ts";
import { judgeClock } from "./checks/validity.ts";
import { examine, exitCodeOf } from "./examination.ts";
import type { Patient } from "./patient.ts";

const nobody = {
  options: { lineOf: (...words: string[]) => ["agent", ...words].join(" ") },
} as unknown as Patient;

function check(name: string, run: Check["run"], code: 2 | 3 = 2): Check {
  return { name, code, run };
}

Deno.test("examine() gives what is found in the order of the checks, whoever is done first", async () => {
  const { promise, resolve } = Promise.withResolvers<Result>();
  const checks = [
    check("slow", () => promise),
    check("fast", () => {
      resolve(ok("slow"));
      return ok("fast");
    }),
  ];
  const findings = await Array.fromAsync(examine(nobody, checks));
  assert.deepEqual(findings.map(({ result }) => result.saw), [["slow"], ["fast"]]);
});

Deno.test("examine() takes a check that throws, or that has no end, for failed", async () => {
  const checks = [
    check("broken", () => {
      throw new Error("no idea");
    }),
    check("hung", () => new Promise<Result>(() => {})),
    check("well", () => ok("well")),
  ];
  const findings = await Array.fromAsync(examine(nobody, checks, 50));
  const [broken, hung, well] = findings.map(({ result }) => result);
  assert.deepEqual(broken?.saw, ["Cannot look at it: no idea"]);
  assert.equal(broken?.state, "failed");
  assert.equal("mend" in broken! && broken.mend, "agent --once --json");
  assert.match(hung?.saw[0] ?? "", /^no result within 0\.05 s/);
  assert.equal(hung?.state, "failed");
  assert.equal(well?.state, "ok");
});

Deno.test("exitCodeOf() is that of the worst", () => {
  const finding = (result: Result, code: 2 | 3 = 2) => ({
    check: check("it", () => result, code),
    result,
  });
  const fine = [finding(ok("")), finding(skipped(""))];
  const warned = finding(warning("", "x"), 3);
  assert.equal(exitCodeOf(fine), 0);
  assert.equal(exitCodeOf([...fine, warned]), 1);
  assert.equal(exitCodeOf([warned, finding(failed("", "x"))]), 2);
  assert.equal(exitCodeOf([finding(failed("", "x"), 3), finding(failed("", "x"))]), 3);
});

Deno.test("judgeClock() does not believe in times before the agent was written", () => {
  assert.equal(judgeClock(Date.UTC(2026, 0, 1)).state, "ok");
  assert.deepEqual(judgeClock(0), {
    state: "failed",
    saw: [
      "it is 1970-01-01T00:00:00Z by this host's clock, which cannot be: no certificate is valid then",
    ],
    mend: "timedatectl set-ntp true",
  });
});
