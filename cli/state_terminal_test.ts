import assert from "node:assert/strict";
import { AgentSetup } from "../tests/agent_setup.ts";
import { flagsOf, runOn } from "../tests/command_line.ts";

Deno.test("run() state draws a tree on a terminal only, with colours where they are wanted", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  setup.engine.containers = setup.engine.containers.filter(({ Names }) => {
    return !Names[0]!.endsWith("-ssh");
  });
  const flags = flagsOf(setup, { master: false });
  const on = (stdoutColumns: number | null, variables: Record<string, string> = {}) =>
    runOn(["state", ...flags], {
      stdoutColumns: () => stdoutColumns,
      variable: (name) => variables[name],
    });
  const piped = await on(null);
  assert.match(piped.stdout, /\n {2}missing {5}container decnet_t_11111111_decky-001-ssh\n$/);
  const branch = "      └─ ssh  decnet/ssh:latest";
  const coloured = [{}, { TERM: "xterm" }, { NO_COLOR: "" }];
  for (const variables of coloured) {
    const { code, stdout } = await on(80, variables);
    assert.equal(code, piped.code);
    assert.ok(stdout.endsWith(`\n${branch}  \x1b[31mmissing\x1b[0m\n`), stdout);
  }
  for (const variables of [{ TERM: "dumb" }, { NO_COLOR: "1" }, { NO_COLOR: "0", TERM: "xterm" }]) {
    const { stdout } = await on(80, variables);
    assert.ok(stdout.endsWith(`\n${branch}  missing\n`), stdout);
  }
  const json = await runOn(["state", "--json", ...flags], { stdoutColumns: () => 80 });
  assert.equal(JSON.parse(json.stdout).drift.missing.length, 1);
  const once = await runOn(["--once", ...flags], { stdoutColumns: () => 20 });
  assert.match(once.stdout, /^DECNET WARNING - missing [^\n]+ \| [^\n]+\n$/);
});
