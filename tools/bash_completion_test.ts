import assert from "node:assert/strict";
import { runOn } from "../tests/support/command_line.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { requirement, works } from "../tests/support/requirements.ts";

const bash = requirement("bash", await works("bash", "--version"));
const terminal = requirement("bash and script", await works("script", "--version"));

const commands = ["run", "state", "doctor", "apply", "teardown", "hash", "images", "print"]
  .concat("help", "version");
const units = ["systemd-service", "systemd-check-service", "systemd-check-timer"];
const printables = [...units, "cron", "config", "man", "completion", "install", "uninstall"];
const files = ["topics", "topology.json"];

const cases: [line: string, offered: string[]][] = [
  ["pr", ["print"]],
  ["--st", ["--state-dir", "--stored"]],
  ["apply --st", ["--state-dir", "--stored"]],
  ["images --st", ["--state-dir", "--stored"]],
  ["images --mi", ["--missing"]],
  ["images to", files],
  ["state --st", ["--state-dir"]],
  ["", commands],
  ["--host-uuid state --on", ["--once"]],
  ["--interval=5s --on", ["--once"]],
  ["print ", printables],
  ["print sys", units],
  ["print man ", []],
  ["help ", commands],
  ["help state ", []],
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

bash.test("print completion bash offers what fits, and nothing else", async () => {
  using folder = await folderWithCompletion();
  const answers = await askBash(folder.path, cases.map(([line]) => `decnet-agent ${line}`));
  for (const [index, [line, offered]] of cases.entries()) {
    assert.deepEqual(answers[index]!.sort(), [...offered].sort(), line);
  }
});

bash.test("print completion bash offers every flag", async () => {
  using folder = await folderWithCompletion();
  const [offered = []] = await askBash(folder.path, ["decnet-agent --"]);
  const { stdout } = await runOn(["--help"]);
  const flags = [...stdout.matchAll(/^ {2}(?:decnet-agent )?(--[\w-]+)/gm)].map(([, it]) => it!);
  assert.ok(flags.includes("--once") && flags.includes("--supersede"));
  assert.deepEqual(offered.sort(), [...new Set(flags)].sort());
});

terminal.test("print completion bash completes what is typed at a terminal", async () => {
  using folder = await folderWithCompletion();
  const settings = `source ./decnet-agent.bash; decnet-agent() { echo "<$*>"; }`;
  await Deno.writeTextFile(`${folder.path}/settings`, settings);
  const command = "bash --noprofile --rcfile settings -i";
  const shown = await run(
    ["script", "--quiet", "--return", "--command", command, "/dev/null"],
    folder.path,
    "decnet-agent pr\tcom\tb\t --st\ttopi\t --supersede=t\t\nexit\n",
  );
  const expected = "<print completion bash --state-dir topics/ --supersede=true>";
  assert.ok(shown.includes(expected), shown);
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

const program = `
source ./decnet-agent.bash
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_decnet_agent decnet-agent
((\${#COMPREPLY[@]} == 0)) || printf '%s\\n' "\${COMPREPLY[@]}"
`;

/** Returns what bash completes at the end of each line. */
async function askBash(folder: string, lines: readonly string[]): Promise<string[][]> {
  const answers: string[][] = [];
  for (const line of lines) {
    // Split as $COMP_WORDBREAKS says.
    const words = line.split(" ").flatMap((word) => word.split(/(=)/).filter(Boolean));
    if (line.endsWith(" ")) words.push("");
    const options = ["--norc", "--noprofile", "-u", "-c", program, "bash"];
    answers.push((await run(["bash", ...options, ...words], folder)).split("\n").slice(0, -1));
  }
  return answers;
}

/** Runs a program away from all settings of this user. Throws `Error` when it writes errors. */
async function run(command: readonly string[], folder: string, input = ""): Promise<string> {
  const child = new Deno.Command(command[0]!, {
    args: command.slice(1),
    cwd: folder,
    env: { PATH: Deno.env.get("PATH") ?? "", HOME: folder, LANG: "C.UTF-8", TERM: "dumb" },
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [{ stdout, stderr }] = await Promise.all([
    child.output(),
    new Blob([input]).stream().pipeTo(child.stdin),
  ]);
  assert.equal(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout);
}
