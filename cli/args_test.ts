import assert from "node:assert/strict";
import { type Arguments, type Command, parseArguments } from "./args.ts";
import { keyNames } from "./options.ts";

const hash = "0a".repeat(32);
const plainApply = { name: "apply", hash: null, dryRun: false, noWait: false } as const;

Deno.test("parseArguments() chooses the command", () => {
  const cases: [line: string, command: Command][] = [
    ["", { name: "run", isNamed: false }],
    ["run", { name: "run", isNamed: true }],
    ["--once", { name: "once", dryRun: false, quiet: false }],
    ["--once --dry-run", { name: "once", dryRun: true, quiet: false }],
    ["--dry-run --once --json", { name: "once", dryRun: true, quiet: false }],
    ["--once --quiet", { name: "once", dryRun: false, quiet: true }],
    ["doctor", { name: "doctor", report: false }],
    ["doctor --report", { name: "doctor", report: true }],
    ["print man", { name: "print", what: "man" }],
    ["print completion bash", { name: "print", what: "completion" }],
    ["state", { name: "state" }],
    ["--json state", { name: "state" }],
    ["hash topology.json", { name: "hash", file: "topology.json" }],
    ["hash -", { name: "hash", file: "-" }],
    ["images topology.json", { name: "images", file: "topology.json", missing: false }],
    ["images - --json", { name: "images", file: "-", missing: false }],
    ["--missing images --stored", { name: "images", file: null, missing: true }],
    ["apply topology.json", { ...plainApply, file: "topology.json" }],
    ["apply -", { ...plainApply, file: "-" }],
    ["apply -x --json", { ...plainApply, file: "-x" }],
    ["apply --stored", { ...plainApply, file: null }],
    ["--stored --json apply --dry-run", { ...plainApply, file: null, dryRun: true }],
    [`apply --stored --no-wait --hash ${hash}`, { ...plainApply, file: null, noWait: true, hash }],
    [`--hash=${hash} apply f`, { ...plainApply, file: "f", hash }],
    [
      `apply f --hash=x --no-wait --dry-run --json --hash ${hash}`,
      { name: "apply", file: "f", hash, dryRun: true, noWait: true },
    ],
    ["--json teardown apply", { name: "teardown", topologyId: "apply", noWait: false }],
    ["teardown --no-wait a", { name: "teardown", topologyId: "a", noWait: true }],
    ["--version", { name: "version" }],
    ["-V", { name: "version" }],
    ["version --json", { name: "version" }],
    ["--help", { name: "help", about: null }],
    ["help", { name: "help", about: null }],
    ["help print", { name: "help", about: "print" }],
    ["help --once", { name: "help", about: "--once" }],
    ["state --help", { name: "help", about: "state" }],
    ["-h print man", { name: "help", about: "print" }],
    ["--once --help", { name: "help", about: "--once" }],
    ["apply --help --hash nonsense", { name: "help", about: "apply" }],
    ["--help --version nonsense", { name: "help", about: null }],
    ["--once --version", { name: "version" }],
  ];
  for (const [line, command] of cases) {
    const parsed = parseArguments(line.split(" ").filter((word) => word !== ""));
    assert.deepEqual(parsed.command, command, line);
    assert.equal(parsed.json, line.includes("--json"));
  }
});

Deno.test("parseArguments() reads --key VALUE and --key=VALUE of each key", () => {
  for (const name of keyNames) {
    for (const args of [[`--${name}`, "a value"], [`--${name}=a value`]]) {
      const expected: Arguments = {
        command: { name: "run", isNamed: false },
        json: false,
        config: null,
        values: new Map([[name, "a value"]]),
      };
      assert.deepEqual(parseArguments(args), expected);
    }
  }
});

Deno.test("parseArguments() does not change a value", () => {
  const valueOf = (...args: string[]) => parseArguments(args).values.get("master-host");
  assert.equal(valueOf("--master-host=a=b"), "a=b");
  assert.equal(valueOf("--master-host", "a=b"), "a=b");
  assert.equal(valueOf("--master-host=--json"), "--json");
  assert.equal(valueOf("--master-host", "-1"), "-1");
  assert.equal(valueOf("--master-host=a\nb "), "a\nb ");
  assert.equal(valueOf("--master-host", "a", "--once", "--master-host", "b"), "b");
});

Deno.test("parseArguments() reads the path of another ini file", () => {
  assert.equal(parseArguments(["--config", "/a b"]).config, "/a b");
  assert.equal(parseArguments(["--config=x.ini", "state"]).config, "x.ini");
});

const noJson =
  "--json can only be used with --once, state, doctor, apply, teardown, hash, images and version";
const noPrintable =
  "print takes one of systemd-service, systemd-check-service, systemd-check-timer, cron, " +
  "config, man, completion, install, uninstall";
const noShell = "print completion takes bash; other shells are not supported";
const noFile = "takes one operand, FILE|-, or --stored instead";
const noHash = "must be 64 hex digits in lower case";

function notA(kind: "flag" | "command", word: string, advice?: string): string {
  return `'${word}' is not a ${kind}; --help lists them.${
    advice ? ` Did you mean ${advice}?` : ""
  }`;
}

/** Error messages, each with command lines (split at spaces) that cause it. */
const refused: [message: string, ...lines: string[]][] = [
  [notA("command", "install", "print install"), "install"],
  [notA("command", "uninstall", "print uninstall"), "uninstall --json"],
  ...["--nonsense", "--toString=1", "--=a", "--", "-x"]
    .map((word): [string, string] => [notA("flag", word.replace("ing=1", "ing")), word]),
  ...["toString", "", "q", "a".repeat(1e6)].map((
    it,
  ): [string, string] => [notA("command", it), it]),
  [notA("flag", "--Once", "--once"), "--Once"],
  [notA("flag", "--master_host", "--master-host"), "--master_host a"],
  [notA("flag", "--state", "state"), "--state"],
  [notA("flag", "-state-dir", "--state-dir"), "-state-dir /x"],
  [notA("command", "stat", "state"), "stat", "stat --json", "--once stat", "help stat"],
  [notA("command", "once", "--once"), "once"],
  [notA("command", "aplly", "apply"), "aplly f"],
  [notA("command", "teardwon", "teardown"), "teardwon a"],
  [notA("command", "status", "state"), "status"],
  [notA("command", "doktor", "doctor"), "doktor"],
  ["run takes no operand", "run x"],
  ["help takes one operand, [COMMAND]", "help state x"],
  ["version takes no operand", "version x"],
  ["--once takes no value", "--once=1"],
  ["--json takes no value", "--json=true state"],
  ["--help takes no value", "--help="],
  ["--no-wait takes no value", "--no-wait=1 apply f"],
  ["--stored takes no value", "apply --stored=1"],
  ["--config needs a value", "--config", "--config --once"],
  ["--hash needs a value", "apply f --hash", "apply f --hash=", "apply --hash --json f"],
  [
    "--master-host needs a value",
    ...["--master-host", "--master-host --once", "--master-host=", "--master-host "],
  ],
  [
    "--dry-run can only be used with --once and apply",
    ...["--dry-run", "state --dry-run", "teardown a --dry-run"],
  ],
  [
    "--no-wait can only be used with apply and teardown",
    ...["--no-wait", "--once --no-wait", "hash - --no-wait"],
  ],
  [
    "--hash can only be used with apply",
    ...[`--hash ${hash}`, `hash f --hash ${hash}`, `teardown a --hash=${hash}`],
  ],
  ["--stored can only be used with apply and images", "--stored", "hash --stored"],
  ["--missing can only be used with images", "--missing", "apply f --missing"],
  ["--quiet can only be used with --once", "--quiet", "state --quiet"],
  ["--quiet cannot be combined with --json", "--once --quiet --json"],
  ["--report cannot be combined with --json", "doctor --report --json"],
  ["--report can only be used with doctor", "state --report"],
  [noJson, "--json", "print man --json"],
  ["--once is a command; it cannot be combined with 'state'", "--once state"],
  ["--once is a command; it cannot be combined with 'apply'", "apply f --once"],
  ...["0a", hash.toUpperCase(), `${hash}0`, `${hash}\n`, `sha256:${hash}`]
    .map((text): [string, string] => [`--hash: '${text}' ${noHash}`, `apply f --hash=${text}`]),
  ["doctor takes no operand", "doctor x"],
  ["state takes no operand", "state x"],
  [noPrintable, "print", "print toString"],
  ["print man takes no operand", "print man x"],
  [noShell, ...["", " zsh", " fish", " bash x"].map((shells) => `print completion${shells}`)],
  ["hash takes one operand, FILE|-", "hash", "hash a b"],
  [`apply ${noFile}`, "apply", "apply a b", "apply --stored a", "apply - --stored"],
  [`images ${noFile}`, "images", "images a b", "images --stored a", "images --missing"],
  ["teardown takes one operand, ID", "teardown", "teardown a b"],
];

Deno.test("parseArguments() refuses wrong usage and names it", () => {
  for (const [message, ...lines] of refused) {
    for (const line of lines) {
      const args = line.split(" ");
      assert.throws(() => parseArguments(args), { name: "UsageError", message }, line);
    }
  }
});
