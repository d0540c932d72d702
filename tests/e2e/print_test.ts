import assert from "node:assert/strict";
import { TemporaryFolder } from "../support/environment.ts";
import { binary } from "../support/executable.ts";

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
