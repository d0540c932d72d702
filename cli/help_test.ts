import assert from "node:assert/strict";
import { runOn } from "../tests/support/command_line.ts";
import { changeCodes, checkCodes, commands, flags } from "./help.ts";
import { keyNames, variableOf } from "./options.ts";

for (const { name, usage, summary, codes } of commands.filter(({ name }) => name !== "")) {
  Deno.test(`run() ${name} --help shows its usage, flags and exit codes only`, async () => {
    const { code, stdout, stderr } = await runOn([name, "--help"]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.ok(stdout.startsWith(`decnet-agent ${usage}: ${summary}\n`), stdout);
    for (const { flag, commands, summary } of flags) {
      const isShown = stdout.includes(`\n      ${summary}\n`);
      if (commands.length > 0) assert.equal(isShown, commands.includes(name), flag);
    }
    for (const table of [checkCodes, changeCodes]) {
      assert.equal(
        stdout.includes(table[0]![1] + "\n"),
        table === codes || codes[0]![1] === table[0]![1],
      );
    }
    for (const [code, meaning] of codes) {
      assert.match(stdout, new RegExp(`\n  ${code} +${meaning}`));
    }
    for (const key of keyNames) assert.ok(!stdout.includes(`\n  --${key} `));
    assert.ok(stdout.endsWith("\n") && !/[ \t]\n/.test(stdout));
  });
}

Deno.test("run() --help without a known command shows everything", async () => {
  const { stdout } = await runOn(["--help"]);
  for (const name of keyNames) assert.ok(stdout.includes(`\n  --${name} `), name);
  for (const { flag } of flags) assert.ok(stdout.includes(`\n  ${flag}`), flag);
  for (const { usage } of commands) {
    assert.ok(stdout.includes(`\n  decnet-agent ${usage} `), usage);
  }
  assert.ok(stdout.includes(variableOf("master-host")));
  assert.ok(stdout.endsWith("\n") && !/[ \t]\n/.test(stdout));
  for (const args of [["-h"], ["nonsense", "--help"], ["--help", "toString"]]) {
    assert.deepEqual(await runOn(args), { code: 0, stdout, stderr: "" });
  }
});
