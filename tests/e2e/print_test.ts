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
    const { stdout } = await new Deno.Command(path, { args: ["print", "install"] }).output();
    const script = new TextDecoder().decode(stdout);
    assert.ok(script.includes(`\nprogram='${program}'\n`), script);
  }
});
