import assert from "node:assert/strict";
import { runOn } from "../tests/support/command_line.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { requirement, works } from "../tests/support/requirements.ts";
import { askBash } from "../tests/support/shells.ts";
import { TypedTerminal } from "../tests/support/terminal.ts";

const bash = requirement("bash", await works("bash", "--version"));
const terminal = requirement("bash and script", await works("script", "--version"));

const commands = ["state", "doctor", "apply", "teardown", "hash", "print"];
const printables = ["systemd-service", "systemd-timer", "cron", "config", "man", "completion"];
const files = ["topics", "topology.json"];

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
  ["print completion ", ["bash"]],
  ["state --j", ["--json"]],
  ["state --no", []],
  ["state --once", []],
  ["apply --no", ["--no-wait"]],
  ["teardown --no", ["--no-wait"]],
  ["--once --qu", ["--quiet"]],
  ["doctor --qu", []],
  ["apply to", files],
  ["hash to", files],
  ["apply --dry-run topo", ["topology.json"]],
  ["teardown to", []],
  ["--config to", files],
  ["--config=to", files],
  ["--agent-dir to", ["topics"]],
  ["state --state-dir to", ["topics"]],
  ["--supersede ", ["false", "true"]],
  ["--supersede=", ["false", "true"]],
  ["--supersede=t", ["true"]],
  ["--master-host ", []],
];

Deno.test({
  name: `print completion bash makes bash offer what fits, and nothing else${bash.suffix}`,
  ignore: bash.ignore,
  async fn() {
    bash.check();
    using folder = await folderWithCompletion();
    const answers = await askBash(folder.path, cases.map(([line]) => `decnet-agent ${line}`));
    for (const [index, [line, offered]] of cases.entries()) {
      assert.deepEqual(answers[index]!.sort(), [...offered].sort(), line);
    }
  },
});

Deno.test({
  name: `print completion bash offers every flag${bash.suffix}`,
  ignore: bash.ignore,
  async fn() {
    bash.check();
    using folder = await folderWithCompletion();
    const [offered = []] = await askBash(folder.path, ["decnet-agent --"]);
    const { stdout } = await runOn(["--help"]);
    const flags = [...stdout.matchAll(/^ {2}(?:decnet-agent )?(--[\w-]+)/gm)].map(([, it]) => it!);
    assert.ok(flags.includes("--once") && flags.includes("--supersede"));
    assert.deepEqual(offered.sort(), [...new Set(flags)].sort());
  },
});

Deno.test({
  name: `print completion bash completes what is typed at a terminal${terminal.suffix}`,
  ignore: terminal.ignore,
  async fn() {
    terminal.check();
    using folder = await folderWithCompletion();
    const settings = `PS1='<ready>'; source ./decnet-agent.bash; decnet-agent() { echo "<$*>"; }`;
    await Deno.writeTextFile(`${folder.path}/settings`, settings);
    await using typed = new TypedTerminal("bash --noprofile --rcfile settings -i", folder.path);
    await typed.type("decnet-agent pr\tcom\tb\t --st\ttopi\t --supersede=t\t\n", "<ready>");
    await typed.type("", "<print completion bash --state-dir topics/ --supersede=true>");
  },
});

async function folderWithCompletion(): Promise<TemporaryFolder> {
  const folder = new TemporaryFolder();
  const { code, stdout } = await runOn(["print", "completion", "bash"]);
  assert.equal(code, 0);
  await Deno.writeTextFile(`${folder.path}/decnet-agent.bash`, stdout);
  await Deno.writeTextFile(`${folder.path}/topology.json`, "{}");
  await Deno.mkdir(`${folder.path}/topics`);
  return folder;
}
