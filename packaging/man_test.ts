import assert from "node:assert/strict";
import { tables } from "../cli/help.ts";
import { runOn } from "../tests/support/command_line.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { requirement, works } from "../tests/support/requirements.ts";
import { example, item, literal, paragraph, plain, section, sentence, synopsis } from "./man.ts";
import manifest from "../deno.json" with { type: "json" };

Deno.test("plain() leaves nothing that roff would act on", () => {
  const cases: [text: string, roff: string][] = [
    ["a - b", "a - b"],
    ["a\\fB", "a\\efB"],
    [".TH", "\\&.TH"],
    ["'quoted'", "\\(aqquoted\\(aq"],
    ["~/`x`^", "\\(ti/\\(gax\\(ga\\(ha"],
    ['say "x"', "say \\(dqx\\(dq"],
  ];
  for (const [text, roff] of cases) assert.equal(plain(text), roff);
});

Deno.test("literal() keeps dashes that can be copied", () => {
  assert.equal(literal("--once"), "\\fB\\-\\-once\\fR");
});

Deno.test("sentence() sets flags, paths, variables and code apart from the words", () => {
  const cases: [text: string, roff: string][] = [
    ["the health check", "the health check"],
    ["with --once only", "with \\fB\\-\\-once\\fR only"],
    ["a `b c` d", "a \\fBb c\\fR d"],
    ["else ~/.decnet/agent, if", "else \\fB\\(ti/.decnet/agent\\fR, if"],
    ["(from $X_Y/z)", "(from \\fB$X_Y/z\\fR)"],
    ["Docker and/or Podman", "Docker and/or Podman"],
    ["--a and /b", "\\fB\\-\\-a\\fR and \\fB/b\\fR"],
  ];
  for (const [text, roff] of cases) assert.equal(sentence(text), roff);
});

Deno.test("synopsis() tells what is typed from what stands for something", () => {
  assert.equal(synopsis("apply FILE|-"), "\\fBapply\\fR \\fIFILE\\fR|\\fB\\-\\fR");
  assert.equal(synopsis("--listen ADDR:PORT"), "\\fB\\-\\-listen\\fR \\fIADDR:PORT\\fR");
  assert.equal(synopsis("unix://PATH"), "\\fBunix://\\fR\\fIPATH\\fR");
});

Deno.test("section(), paragraph(), item() and example() keep to lines of 80 characters", () => {
  const text = `${"word ".repeat(20)}.ends ${".x ".repeat(60)}`.trim();
  for (const roff of [paragraph(text), item("t", text, text), example(text, "ls"), section("S")]) {
    for (const line of roff.split("\n")) {
      assert.ok(line.length <= 82, line);
      assert.doesNotMatch(line, /^[.'](?!(PP|TP|br|SH|nf|fi|RS|RE)\b)/);
    }
  }
  assert.equal(section("S", paragraph("a"), paragraph("b")), ".SH S\na\n.PP\nb\n");
});

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
