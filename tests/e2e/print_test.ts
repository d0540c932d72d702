import assert from "node:assert/strict";
import { TemporaryFolder } from "../support/environment.ts";
import { binary, execute } from "../support/executable.ts";

const printables: readonly (readonly [what: string, file: string])[] = [
  ["systemd-service", "decnet-agent.service"],
  ["systemd-check-service", "decnet-agent-check.service"],
  ["systemd-check-timer", "decnet-agent-check.timer"],
  ["cron", "decnet-agent.cron"],
  ["config", "decnet.ini"],
  ["man", "decnet-agent.1"],
  ["completion bash", "decnet-agent.bash"],
];

Deno.test("decnet-agent print prints packaging/ with its own path", async () => {
  const texts = new Map<string, string>();
  for (const [what, file] of printables) {
    const { code, stdout } = await execute(["print", ...what.split(" ")]);
    // 1 when the unit hides the folder of the build.
    assert.ok(code <= 1, what);
    texts.set(file, stdout);
  }
  for (const [file, text] of texts) {
    const path = new URL(`../../packaging/${file}`, import.meta.url);
    const expected = (await Deno.readTextFile(path))
      .replaceAll("/usr/local/bin/decnet-agent", await Deno.realPath(binary));
    assert.equal(text, expected, file);
  }
});

Deno.test("decnet-agent print finds its path through a link and with a space", async () => {
  using folder = new TemporaryFolder();
  const program = `${folder.path}/my agents/decnet agent`;
  await Deno.mkdir(`${folder.path}/my agents`);
  await Deno.copyFile(binary, program);
  await Deno.symlink(program, `${folder.path}/link`);
  for (const path of [program, `${folder.path}/link`]) {
    const print = async (what: string) => {
      const { stdout } = await new Deno.Command(path, { args: ["print", what] }).output();
      return new TextDecoder().decode(stdout);
    };
    const service = await print("systemd-service");
    assert.ok(service.includes(`\nExecStart="${program}" run\n`), service);
    assert.ok(service.includes(`\nExecPaths="${program}" `));
    assert.ok((await print("systemd-check-service")).includes(`\nExecStart="${program}" --once\n`));
    assert.ok((await print("cron")).endsWith(` decnet-agent "${program}" --once --quiet\n`));
  }
});
