import assert from "node:assert/strict";
import { cronWord, execCommand, listedPath } from "./quoting.ts";

Deno.test("execCommand() and listedPath() write a path so that systemd reads it back", () => {
  const cases: [path: string, command: string, listed: string][] = [
    ["/usr/local/bin/decnet-agent", "/usr/local/bin/decnet-agent", "/usr/local/bin/decnet-agent"],
    ["/opt/v1.0_x+y@z:,=/a", "/opt/v1.0_x+y@z:,=/a", "/opt/v1.0_x+y@z:,=/a"],
    ["/opt/a b/c", '"/opt/a b/c"', '"/opt/a b/c"'],
    ["/opt/50%/%h", "/opt/50%%/%%h", "/opt/50%%/%%h"],
    ["/opt/$HOME/c", ':"/opt/$HOME/c"', '"/opt/$HOME/c"'],
    ["/opt/ü;#/c", '"/opt/ü;#/c"', '"/opt/ü;#/c"'],
  ];
  for (const [path, command, listed] of cases) {
    assert.deepEqual([execCommand(path), listedPath(path)], [command, listed]);
  }
});

Deno.test("execCommand() and listedPath() refuse what systemd takes in no form", () => {
  for (const path of ['/a"b', "/a'b", "/a\\b", "/a\nb", "/a\x7fb", "decnet-agent", ""]) {
    for (const write of [execCommand, listedPath]) {
      assert.throws(
        () => write(path),
        /^Error: Cannot print for [^]*: the path of the executable /,
      );
    }
  }
});

Deno.test("cronWord() writes a path so that cron's shell reads it back", async () => {
  const paths = [
    "/usr/local/bin/decnet-agent",
    "/a b/c",
    "/50%",
    "/it's",
    '/"',
    "/$HOME/`id`/$(id)",
  ]
    .concat("/%%a%", '/"%"$%`', "/ü;&|<>*?[x]~#!");
  for (const path of paths) {
    const { stdout } = await new Deno.Command("sh", {
      args: ["-c", `printf %s ${asCronReads(cronWord(path))}`],
    }).output();
    assert.equal(new TextDecoder().decode(stdout), path);
  }
});

Deno.test("cronWord() refuses what would end the line, or what crons read in two ways", () => {
  for (const path of ["/a\nb", "/a\rb", "/a\\b", "relative"]) {
    assert.throws(() => cronWord(path), Error);
  }
});

/** What cron hands to the shell: all up to a `%`, where `\%` is one that is meant as such. */
function asCronReads(text: string): string {
  let read = "";
  for (let index = 0; index < text.length; index++) {
    if (text[index] === "%") break;
    if (text[index] !== "\\") {
      read += text[index];
      continue;
    }
    index++;
    read += text[index] === "%" ? "%" : `\\${text[index]}`;
  }
  return read;
}
