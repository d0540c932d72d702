import assert from "node:assert/strict";
import { configureOn, runOn } from "../tests/support/command_line.ts";
import { readSection } from "./config.ts";
import { printables } from "./args.ts";
import { keys } from "./help.ts";
import { keyNames } from "./options.ts";

const lines = printables.map((what) =>
  what === "completion" ? ["print", what, "bash"] : ["print", what]
);

Deno.test("run() print prints each file, and needs no configuration", async () => {
  const texts = new Set<string>();
  for (const line of lines) {
    const { code, stdout, stderr } = await runOn(line, {
      variable: () => "\0",
      readFile: () => "[agent]\nnonsense",
    });
    assert.deepEqual([code, stderr], [0, ""], line.join(" "));
    assert.match(stdout, /^\S[^]*\S\n$/);
    assert.doesNotMatch(stdout, /[ \t]\n|undefined|\[object|\t/);
    texts.add(stdout);
  }
  assert.equal(texts.size, lines.length);
});

Deno.test("run() print config has each key as a comment, with its default", async () => {
  const { stdout } = await runOn(["print", "config"]);
  assert.deepEqual(readSection(stdout, "x.ini"), []);
  const entries = readSection(stdout.replace(/^#(?=[a-z-]+ = )/gm, ""), "x.ini")!;
  assert.deepEqual(entries.map(({ key }) => key), keyNames);
  for (const { allowed, value, fallback, summary } of keys) {
    for (const text of [allowed, value ?? fallback!, summary]) {
      assert.ok(stdout.includes(text), text);
    }
  }
  // Words in capitals are placeholders of keys without a fixed default.
  const ini = stdout.replace(/^#(?=[a-z-]+ = (?!(unix:\/\/)?[A-Z:]+$))/gm, "");
  const fixed = keys.filter(({ value }) => value !== null).map(({ name }) => name);
  assert.deepEqual(readSection(ini, "x.ini")!.map(({ key }) => key), fixed);
  // Without these, port and name have no effect.
  const flags = { "master-host": "m", "host-uuid": "u", "listen": "127.0.0.1:1" };
  assert.deepEqual(configureOn({ ini, flags }), configureOn({ flags }));
});

Deno.test("print refuses the scripts when it runs from source", async () => {
  const args = ["run", "-q", "-P=agent", "main.ts", "print", "install"];
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  assert.deepEqual([code, stdout.length], [3, 0]);
  assert.equal(
    new TextDecoder().decode(stderr),
    "decnet-agent: there is no executable: the agent runs from source. " +
      "Build one: deno task compile\n",
  );
});
