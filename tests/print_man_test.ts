import assert from "node:assert/strict";
import manifest from "../deno.json" with { type: "json" };
import { tables } from "../cli/tables.ts";
import { works } from "./binary/works.ts";
import { runOn } from "./command_line.ts";
import { requirement } from "./requirements.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

const manDb = requirement("man, of man-db", await works("man", "--version"));
const mandoc = requirement("mandoc", await hasMandoc());

Deno.test({
  name: `print man makes a page that man shows at 80 columns, without warnings${manDb.suffix}`,
  ignore: manDb.ignore,
  async fn() {
    manDb.check();
    const { code, stdout, stderr } = await readWith("man", "--warnings", "--local-file");
    assert.deepEqual([code, stderr], [0, ""]);
    const lines = stdout.split("\n");
    assert.deepEqual(lines.filter((line) => [...line].length > 80), []);
    const headings = lines.filter((line) => /^[A-Z]/.test(line)).slice(1);
    assert.deepEqual(headings, [
      ...["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS", "CONFIGURATION"],
      ...["EXIT STATUS", "SIGNALS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"],
    ]);
  },
});

Deno.test({
  name: `print man tells all that the help tells, as one reads it${manDb.suffix}`,
  ignore: manDb.ignore,
  async fn() {
    manDb.check();
    const { stdout } = await readWith("man", "--local-file");
    // Lines are broken anywhere between words.
    const text = stdout.replaceAll(/\s+/g, " ").toLowerCase();
    const { commands, options, keys, printables, shells, checkCodes, changeCodes } = tables;
    const wanted = [
      ...commands.flatMap(({ usage, summary }) => [`decnet-agent ${usage}`, summary]),
      ...options.flatMap(({ flag, placeholder, summary }) => {
        return [placeholder ? `${flag} ${placeholder}` : flag, summary];
      }),
      ...keys.flatMap(({ name, variable, placeholder, summary, fallback, allowed }) => [
        `--${name} ${placeholder}`,
        `key ${name}, variable ${variable}.`,
        `must be ${allowed}.`,
        `default: ${fallback}.`,
        summary,
      ]),
      ...Object.entries(printables).flat().concat(shells.join("|")),
      ...[...checkCodes, ...changeCodes].flat(),
      `decnet-agent ${manifest.version}`,
    ];
    for (const words of wanted) assert.ok(text.includes(words.trim().toLowerCase()), words);
    const environment = /^ENVIRONMENT$[^]*?^FILES$/m.exec(stdout)?.[0];
    const others = manifest.permissions.agent.env.filter((name) => !name.startsWith("DECNET_"));
    for (const name of others) {
      assert.match(environment!, new RegExp(`^ {7}(.*, )?${name}\\b`, "m"));
    }
    assert.doesNotMatch(stdout, /\\f|\(aq|\\&|`/);
  },
});

Deno.test({
  name: `print man makes a page that mandoc finds no fault with${mandoc.suffix}`,
  ignore: mandoc.ignore,
  async fn() {
    mandoc.check();
    const { stdout, stderr } = await readWith("mandoc", "-Tlint", "-Wwarning");
    assert.equal(stderr, "");
    const remarks = stdout.trim().split("\n");
    // It depends on nothing but the version, so it has no date.
    assert.ok(remarks.every((remark) => remark.endsWith('missing date, using "": TH')), stdout);
  },
});

/** What a reader of man pages shows of the page. */
async function readWith(program: string, ...args: string[]) {
  using folder = new TemporaryFolder();
  const path = `${folder.path}/decnet-agent.1`;
  await Deno.writeTextFile(path, (await runOn(["print", "man"])).stdout);
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: [...args, path],
    env: { LC_ALL: "C.UTF-8", MANWIDTH: "80", MANPAGER: "cat", MANROFFOPT: "", HOME: folder.path },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** It has no option that tells its version. */
async function hasMandoc(): Promise<boolean> {
  return await works("mandoc", "/dev/null");
}
