import assert from "node:assert/strict";
import { type Arguments, type Command, parseArguments, UsageError } from "./args.ts";
import { keyNames } from "./options.ts";

const hash = "0a".repeat(32);
const plainApply = { name: "apply", hash: null, dryRun: false, noWait: false } as const;

Deno.test("parseArguments() chooses the command", () => {
  const cases: [line: string, command: Command][] = [
    ["", { name: "daemon" }],
    ["--once", { name: "once", dryRun: false, quiet: false }],
    ["--once --dry-run", { name: "once", dryRun: true, quiet: false }],
    ["--dry-run --once --json", { name: "once", dryRun: true, quiet: false }],
    ["--once --quiet", { name: "once", dryRun: false, quiet: true }],
    ["doctor", { name: "doctor" }],
    ["doctor --json", { name: "doctor" }],
    ["print man", { name: "print", what: "man" }],
    ["print systemd-service", { name: "print", what: "systemd-service" }],
    ["print completion bash", { name: "print", what: "completion" }],
    ["state", { name: "state" }],
    ["state --json", { name: "state" }],
    ["--json state", { name: "state" }],
    ["hash topology.json", { name: "hash", file: "topology.json" }],
    ["hash -", { name: "hash", file: "-" }],
    ["--json hash -", { name: "hash", file: "-" }],
    ["apply topology.json", { ...plainApply, file: "topology.json" }],
    ["apply -", { ...plainApply, file: "-" }],
    ["apply -x --json", { ...plainApply, file: "-x" }],
    ["apply --stored", { ...plainApply, file: null }],
    ["--stored --json apply --dry-run", { ...plainApply, file: null, dryRun: true }],
    [`apply --stored --no-wait --hash ${hash}`, { ...plainApply, file: null, noWait: true, hash }],
    ["apply --dry-run f", { ...plainApply, file: "f", dryRun: true }],
    ["--no-wait apply f", { ...plainApply, file: "f", noWait: true }],
    [`apply f --hash ${hash}`, { ...plainApply, file: "f", hash }],
    [`--hash=${hash} apply f`, { ...plainApply, file: "f", hash }],
    [
      `apply f --hash=x --no-wait --dry-run --json --hash ${hash}`,
      { name: "apply", file: "f", hash, dryRun: true, noWait: true },
    ],
    ["teardown a-1", { name: "teardown", topologyId: "a-1", noWait: false }],
    ["--json teardown apply", { name: "teardown", topologyId: "apply", noWait: false }],
    ["teardown --no-wait a", { name: "teardown", topologyId: "a", noWait: true }],
    ["--version", { name: "version" }],
    ["--version --json", { name: "version" }],
    ["--help", { name: "help", about: null }],
    ["-h", { name: "help", about: null }],
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

Deno.test("parseArguments() takes the value of each key, in both ways of writing", () => {
  for (const name of keyNames) {
    for (const args of [[`--${name}`, "a value"], [`--${name}=a value`]]) {
      const expected: Arguments = {
        command: { name: "daemon" },
        json: false,
        config: null,
        values: new Map([[name, "a value"]]),
      };
      assert.deepEqual(parseArguments(args), expected);
    }
  }
});

Deno.test("parseArguments() leaves a value as it is", () => {
  const valueOf = (...args: string[]) => parseArguments(args).values.get("master-host");
  assert.equal(valueOf("--master-host=a=b"), "a=b");
  assert.equal(valueOf("--master-host", "a=b"), "a=b");
  assert.equal(valueOf("--master-host=--json"), "--json");
  assert.equal(valueOf("--master-host", "-1"), "-1");
  assert.equal(valueOf("--master-host=a\nb "), "a\nb ");
  assert.equal(valueOf("--master-host", "a", "--once", "--master-host", "b"), "b");
});

Deno.test("parseArguments() takes another ini file", () => {
  assert.equal(parseArguments(["--config", "/a b"]).config, "/a b");
  assert.equal(parseArguments(["--config=x.ini", "state"]).config, "x.ini");
});

Deno.test("parseArguments() refuses what it does not know, and names it", () => {
  const cases: [args: string[], message: string][] = [
    [["--nonsense"], "--nonsense is not a flag; --help lists them"],
    [["--Once"], "--Once is not a flag; --help lists them"],
    [["--master_host", "a"], "--master_host is not a flag; --help lists them"],
    [["--=a"], "'--=a' is not a flag; --help lists them"],
    [["--"], "'--' is not a flag; --help lists them"],
    [["-x"], "'-x' is not a flag; --help lists them"],
    [["stat"], "'stat' is not a command; --help lists them"],
    [["toString"], "'toString' is not a command; --help lists them"],
    [["--toString=1"], "--toString is not a flag; --help lists them"],
    [["--once=1"], "--once takes no value"],
    [["--json=true", "state"], "--json takes no value"],
    [["--help="], "--help takes no value"],
    [["--config"], "--config needs a value"],
    [["--config", "--once"], "--config needs a value"],
    [["--master-host"], "--master-host needs a value"],
    [["--master-host", "--once"], "--master-host needs a value"],
    [["--master-host="], "--master-host needs a value"],
    [["--master-host", ""], "--master-host needs a value"],
    [["--dry-run"], "--dry-run goes with --once and apply"],
    [["state", "--dry-run"], "--dry-run goes with --once and apply"],
    [["teardown", "a", "--dry-run"], "--dry-run goes with --once and apply"],
    [["--no-wait"], "--no-wait goes with apply and teardown"],
    [["--once", "--no-wait"], "--no-wait goes with apply and teardown"],
    [["hash", "-", "--no-wait"], "--no-wait goes with apply and teardown"],
    [["--no-wait=1", "apply", "f"], "--no-wait takes no value"],
    [["--hash", hash], "--hash goes with apply"],
    [["hash", "f", "--hash", hash], "--hash goes with apply"],
    [["teardown", "a", `--hash=${hash}`], "--hash goes with apply"],
    [["apply", "f", "--hash"], "--hash needs a value"],
    [["apply", "f", "--hash="], "--hash needs a value"],
    [["apply", "--hash", "--json", "f"], "--hash needs a value"],
    ...["0a", hash.toUpperCase(), `${hash}0`, `${hash}\n`, `sha256:${hash}`].map((
      text,
    ): [string[], string] => [
      ["apply", "f", `--hash=${text}`],
      `--hash: '${text}' must be 64 hex digits in lower case`,
    ]),
    [["--json"], "--json goes with --once, state, doctor, apply, teardown, hash and --version"],
    [
      ["print", "man", "--json"],
      "--json goes with --once, state, doctor, apply, teardown, hash and --version",
    ],
    [["--quiet"], "--quiet goes with --once"],
    [["state", "--quiet"], "--quiet goes with --once"],
    [["--once", "--quiet", "--json"], "--quiet does not go with --json"],
    [["doctor", "x"], "doctor takes no operand"],
    [
      ["print"],
      "print takes one of systemd-service, systemd-timer, cron, config, man, completion",
    ],
    [
      ["print", "toString"],
      "print takes one of systemd-service, systemd-timer, cron, config, man, completion",
    ],
    [["print", "man", "x"], "print man takes no operand"],
    ...[[], ["zsh"], ["fish"], ["bash", "x"]].map((shells): [string[], string] => [
      ["print", "completion", ...shells],
      "print completion takes bash; other shells are not supported",
    ]),
    [["--once", "state"], "--once is a command of its own; it does not go with 'state'"],
    [["apply", "f", "--once"], "--once is a command of its own; it does not go with 'apply'"],
    [["state", "x"], "state takes no operand"],
    [["hash"], "hash takes one file, or - for standard input"],
    [["hash", "a", "b"], "hash takes one file, or - for standard input"],
    ...[["apply"], ["apply", "a", "b"], ["apply", "--stored", "a"], ["apply", "-", "--stored"]].map(
      (
        args,
      ): [string[], string] => [
        args,
        "apply takes one file, or - for standard input, or --stored instead",
      ],
    ),
    [["--stored"], "--stored goes with apply"],
    [["hash", "--stored"], "--stored goes with apply"],
    [["apply", "--stored=1"], "--stored takes no value"],
    [["teardown"], "teardown takes the id of one topology"],
    [["teardown", "a", "b"], "teardown takes the id of one topology"],
    [[""], "'' is not a command; --help lists them"],
  ];
  for (const [args, message] of cases) {
    assert.throws(() => parseArguments(args), { name: "UsageError", message }, args.join(" "));
    assert.throws(() => parseArguments(args), UsageError);
  }
});
