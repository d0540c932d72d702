import assert from "node:assert/strict";
import { type Shell, shells } from "../cli/help.ts";
import { runOn } from "../tests/support/command_line.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { type Requirement, requirement, works } from "../tests/support/requirements.ts";
import { askBash, askFish, askZsh } from "../tests/support/shells.ts";
import { TypedTerminal } from "../tests/support/terminal.ts";

const ask = { bash: askBash, zsh: askZsh, fish: askFish } as const;
const fileNames = { bash: "decnet-agent.bash", zsh: "_decnet-agent", fish: "decnet-agent.fish" };

const present: Record<Shell, Requirement> = {
  bash: requirement("bash", await works("bash", "--version")),
  zsh: requirement("zsh and script", await works("zsh", "--version") && await hasScript()),
  fish: requirement("fish", await works("fish", "--version")),
};
const terminal = requirement(
  "bash and script",
  await works("bash", "--version") && await hasScript(),
);

const commands = ["state", "doctor", "apply", "teardown", "hash", "print"];
const printables = ["systemd-service", "systemd-timer", "cron", "config", "man", "completion"];

const cases: [line: string, offered: string[]][] = [
  ["pr", ["print"]],
  ["--st", ["--state-dir", "--stored"]],
  ["apply --st", ["--state-dir", "--stored"]],
  ["state --st", ["--state-dir"]],
  ["", commands],
  ["--host-uuid state --on", ["--once"]],
  ["--interval=5s --on", ["--once"]],
  ["print ", printables],
  ["print sys", ["systemd-service", "systemd-timer"]],
  ["print man ", []],
  ["print completion ", [...shells]],
  ["state --j", ["--json"]],
  ["state --no", []],
  ["state --once", []],
  ["apply --no", ["--no-wait"]],
  ["teardown --no", ["--no-wait"]],
  ["--once --qu", ["--quiet"]],
  ["doctor --qu", []],
  ["apply to", ["topics", "topology.json"]],
  ["hash to", ["topics", "topology.json"]],
  ["apply --dry-run topo", ["topology.json"]],
  ["teardown to", []],
  ["--config to", ["topics", "topology.json"]],
  ["--config=to", ["topics", "topology.json"]],
  ["--agent-dir to", ["topics"]],
  ["state --state-dir to", ["topics"]],
  ["--supersede ", ["false", "true"]],
  ["--supersede=", ["false", "true"]],
  ["--supersede=t", ["true"]],
  ["--master-host ", []],
];

for (const shell of shells) {
  const { ignore, suffix, check } = present[shell];
  Deno.test({
    name: `print completion ${shell} makes ${shell} offer what fits, and nothing else${suffix}`,
    ignore,
    async fn() {
      check();
      using folder = await folderWith(shell);
      const lines = cases.map(([line]) => `decnet-agent ${line}`);
      const answers = await ask[shell](folder.path, lines);
      assert.equal(answers.length, lines.length);
      for (const [index, [line, offered]] of cases.entries()) {
        // Some shells offer the whole word, and mark folders.
        const words = answers[index]!.map((word) => word.replace(/^--[\w-]+=(?=.)|[/ ]$/g, ""));
        assert.deepEqual(words.sort(), [...offered].sort(), line);
      }
    },
  });

  Deno.test({
    name: `print completion ${shell} offers every flag${suffix}`,
    ignore,
    async fn() {
      check();
      using folder = await folderWith(shell);
      const [offered = []] = await ask[shell](folder.path, ["decnet-agent --"]);
      const { stdout } = await runOn(["--help"]);
      const flags = [...stdout.matchAll(/^ {2}(?:decnet-agent )?(--[\w-]+)/gm)].map(([, it]) =>
        it!
      );
      assert.ok(flags.includes("--once") && flags.includes("--supersede"));
      const words = offered.map((word) => word.replace(/=$/, ""));
      assert.deepEqual(words.sort(), [...new Set(flags)].sort());
    },
  });
}

Deno.test({
  name: `print completion zsh can be sourced, too${present.zsh.suffix}`,
  ignore: present.zsh.ignore,
  async fn() {
    present.zsh.check();
    using folder = await folderWith("zsh");
    await Deno.rename(`${folder.path}/_decnet-agent`, `${folder.path}/sourced`);
    const lines = ["decnet-agent pr", "decnet-agent pr"];
    const answers = await askZsh(folder.path, lines, "source ./sourced");
    assert.deepEqual(answers, [["print"], ["print"]]);
  },
});

Deno.test({
  name: `print completion bash completes what is typed at a terminal${terminal.suffix}`,
  ignore: terminal.ignore,
  async fn() {
    terminal.check();
    using folder = await folderWith("bash");
    const settings = `PS1='<ready>'; source ./decnet-agent.bash; decnet-agent() { echo "<$*>"; }`;
    await Deno.writeTextFile(`${folder.path}/settings`, settings);
    await using typed = new TypedTerminal("bash --noprofile --rcfile settings -i", folder.path);
    await typed.type("decnet-agent pr\tcom\tf\t --st\ttopi\t --supersede=t\t\n", "<ready>");
    await typed.type("", "<print completion fish --state-dir topics/ --supersede=true>");
  },
});

async function folderWith(shell: Shell): Promise<TemporaryFolder> {
  const folder = new TemporaryFolder();
  const { code, stdout } = await runOn(["print", "completion", shell]);
  assert.equal(code, 0);
  await Deno.writeTextFile(`${folder.path}/${fileNames[shell]}`, stdout);
  await Deno.writeTextFile(`${folder.path}/topology.json`, "{}");
  await Deno.mkdir(`${folder.path}/topics`);
  return folder;
}

function hasScript(): Promise<boolean> {
  return works("script", "--version");
}
