import assert from "node:assert/strict";
import { printables } from "../cli/args.ts";
import { changeCodes, checkCodes, commands, flags, keys } from "../cli/help.ts";
import { systemPaths } from "../host/files.ts";
import { runOn } from "../tests/support/command_line.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { requirement, works } from "../tests/support/requirements.ts";
import man from "./decnet-agent.1" with { type: "text" };
import manifest from "../deno.json" with { type: "json" };

const manDb = requirement("man, of man-db", await works("man", "--version"));
// mandoc has no option that shows its version.
const mandoc = requirement("mandoc", await works("mandoc", "/dev/null"));

Deno.test("run() print man prints the file", async () => {
  assert.deepEqual(await runOn(["print", "man"]), { code: 0, stdout: man, stderr: "" });
});

manDb.test("man shows the man page at 80 columns without warnings", async () => {
  const { code, stdout, stderr } = await readWith("man", "--warnings", "--local-file");
  assert.deepEqual([code, stderr], [0, ""]);
  const lines = stdout.split("\n");
  assert.deepEqual(lines.filter((line) => [...line].length > 80), []);
  const headings = lines.filter((line) => /^[A-Z]/.test(line)).slice(1);
  assert.deepEqual(headings.slice(0, 4), ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS"]);
  assert.doesNotMatch(stdout, /\\f|\(aq|\\&|`/);
});

manDb.test("the man page has every command, flag, key and exit code", async () => {
  const { stdout } = await readWith("man", "--local-file");
  // Lines are broken anywhere between words.
  const text = stdout.replaceAll(/\s+/g, " ");
  const wanted = [
    ...commands.map(({ usage }) => `decnet-agent ${usage}`.trim()),
    ...flags.map(({ flag, placeholder }) => placeholder ? `${flag} ${placeholder}` : flag),
    ...keys.map(({ name, placeholder }) => `--${name} ${placeholder}`),
    ...keys.map(({ name, variable }) => `Key ${name}, variable ${variable}.`),
    ...printables,
    ...[...checkCodes, ...changeCodes].map(([code]) => code),
  ];
  for (const words of wanted) assert.ok(text.includes(` ${words} `), words);
  const environment = /^ENVIRONMENT$[^]*?^FILES$/m.exec(stdout)?.[0];
  for (const name of manifest.permissions.agent.env.filter((it) => !it.startsWith("DECNET_"))) {
    assert.match(environment!, new RegExp(`^ {7}(.*, )?${name}\\b`, "m"));
  }
  // A default would have to be changed in two places.
  const defaults = keys.map(({ value }) => value).filter((value) => value !== null)
    .filter((value) => !/^[a-z]+$/.test(value));
  for (const value of [...defaults, ...Object.values(systemPaths)]) {
    assert.ok(!text.includes(value), value);
  }
});

mandoc.test("mandoc finds no fault in the man page", async () => {
  const { stdout, stderr } = await readWith("mandoc", "-Tlint");
  assert.deepEqual([stdout, stderr], ["", ""]);
});

/** Returns what a reader of man pages shows of the page. */
async function readWith(program: string, ...args: string[]) {
  using folder = new TemporaryFolder();
  const path = new URL("decnet-agent.1", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: [...args, path],
    env: { LC_ALL: "C.UTF-8", MANWIDTH: "80", MANPAGER: "cat", MANROFFOPT: "", HOME: folder.path },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
