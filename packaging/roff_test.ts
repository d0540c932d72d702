import assert from "node:assert/strict";
import { example, item, literal, paragraph, plain, section, sentence, synopsis } from "./roff.ts";

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
