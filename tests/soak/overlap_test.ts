import assert from "node:assert/strict";
import { failureOf } from "./overlap.ts";

const good = {
  code: 1,
  stdout: "DECNET WARNING - missing decnet_t_x | networks=1 containers=0 drift=1 docker=0.003s\n",
  stderr: "",
  elapsedMs: 9_999,
};

const cases: [name: string, change: Partial<typeof good>, failure: RegExp | null][] = [
  ["a warning", {}, null],
  ["OK", { code: 0, stdout: good.stdout.replace("WARNING", "OK") }, null],
  ["CRITICAL", { code: 2, stdout: "DECNET CRITICAL - no" }, /^exit code 2: DECNET CRITICAL - no$/],
  ["UNKNOWN", { code: 3, stderr: "no" }, /^exit code 3: .*no$/s],
  ["a kill", { code: 137, stdout: "" }, /^exit code 137/],
  ["no output", { stdout: "" }, /^not a line: ""$/],
  ["half a line", { stdout: good.stdout.slice(0, 40) }, /^not a line/],
  ["a line too many", { stdout: good.stdout + good.stdout }, /^not a line/],
  ["another word than the code", { code: 0 }, /^not a line/],
  ["10 s", { elapsedMs: 10_000 }, /^it took 10000 ms$/],
];
Deno.test("failureOf() accepts one line of OK or WARNING within 10 s", () => {
  for (const [name, change, expected] of cases) {
    const failure = failureOf({ ...good, ...change });
    if (expected) assert.match(failure ?? "", expected, name);
    else assert.equal(failure, null, name);
  }
});
