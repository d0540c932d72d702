import assert from "node:assert/strict";
import { runOn } from "../tests/support/command_line.ts";
import { commands, flags } from "./help.ts";
import { keyNames, variableOf } from "./options.ts";

for (const { name, usage, summary, codes } of commands) {
  Deno.test(`run() ${name} --help shows its usage, flags and exit codes only`, async () => {
    const { code, stdout, stderr } = await runOn([name, "--help"]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.ok(stdout.startsWith(`decnet-agent ${usage}: ${summary}\n`), stdout);
    for (const { flag, commands, placeholder, summary } of flags) {
      const text = `\n  ${[flag, placeholder].filter(Boolean).join(" ")}\n      `;
      const isOwn = commands.includes(name);
      if (commands.length > 0) assert.equal(stdout.includes(text), isOwn, flag);
      if (isOwn) assert.ok(stdout.includes(`${text}${summary}\n`), flag);
    }
    const rows = codes.map(([code, meaning]) => `  ${code.padEnd(12)} ${meaning}\n`);
    assert.ok(stdout.endsWith(`\nexit codes\n${rows.join("")}`), stdout);
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
