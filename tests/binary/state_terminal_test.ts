// deno-lint-ignore-file no-control-regex
import assert from "node:assert/strict";
import { TopologyStore } from "../../store/mod.ts";
import { textOf } from "../apply_host.ts";
import { requirement } from "../requirements.ts";
import { binary, execute, Host } from "./host.ts";

function isThere(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdout: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

const script = requirement("script, which makes terminals", isThere("script"));

/** What the executable prints on a terminal of so many columns. */
async function printedOnTerminal(
  args: readonly string[],
  { columns, env }: { columns: number; env: Record<string, string> },
): Promise<string> {
  const command = `stty cols ${columns}; exec ${binary} ${args.join(" ")}`;
  const { stdout } = await new Deno.Command("script", {
    args: ["-qec", command, "/dev/null"],
    env: { PATH: Deno.env.get("PATH") ?? "", HOME: "/nonexistent", SHELL: "/bin/sh", ...env },
    clearEnv: true,
    stdin: "null",
  }).output();
  return new TextDecoder().decode(stdout).replaceAll("\r\n", "\n");
}

Deno.test({
  name: `decnet-agent state draws a tree on a terminal, as wide as that is${script.suffix}`,
  ignore: script.ignore,
  fn: async () => {
    script.check();
    await using host = await Host.create();
    await host.startEngine();
    await Deno.mkdir(host.stateDirectory);
    const document = textOf("topology-three-lans.json");
    const { topology, deckies } = JSON.parse(document);
    {
      using store = TopologyStore.open(host.storePath);
      store.put(topology.id, "h", document);
    }
    const args = ["state", ...host.flags()];
    const piped = await execute(args);
    assert.equal(piped.code, 1);
    assert.match(piped.stdout, /^topology {6}\S+\nhash/);
    assert.doesNotMatch(piped.stdout, /[├└│]|\x1b/);
    const drawn = await printedOnTerminal(args, { columns: 50, env: { TERM: "xterm" } });
    assert.match(drawn, /\x1b\[31mmissing\x1b\[0m/);
    const plain = drawn.replaceAll(/\x1b\[\d+m/g, "");
    for (const line of plain.split("\n")) assert.ok(line.length <= 50, line);
    for (const { name } of deckies) assert.ok(plain.includes(`─ ${name} `), plain);
    for (const env of [{ TERM: "dumb" }, { TERM: "xterm", NO_COLOR: "1" }]) {
      assert.equal(await printedOnTerminal(args, { columns: 50, env }), plain);
    }
  },
});
