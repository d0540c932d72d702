import assert from "node:assert/strict";
import { type Arguments, parseArguments } from "../../cli/args.ts";
import { type Configuration, configure } from "../../cli/config.ts";
import { run } from "../../cli/main.ts";
import { type KeyName, keyNames, variableOf } from "../../cli/options.ts";
import type { Surroundings } from "../../cli/terminal.ts";
import { keyCases } from "../support/certificates.ts";
import { checkError, checkImage, checkMessage } from "./oracles.ts";
import { type Chance, hostileText, mutateBytes, spoilt } from "./random.ts";
import type { Target } from "./target.ts";

const lines = [
  ..."[agent]|[agent|agent]|[]|[ Agent ]|[master]|[agent] ; x|[agent]x|# c|; c|=|:|=x|x|x=|x:y"
    .split("|"),
  ..."interval|interval = 30s|interval: 30s|INTERVAL=30s|  interval = 30s|\ufeff[agent]|\0|%(x)s"
    .split("|"),
  "\ud800 = x",
  "",
];
const switches = ["--once", "--json", "--dry-run", "--no-wait", "--version", "--help", "-h"];
const commands = ["", "--once", "--once --json", "state", "hash x.json", "teardown a", "--version"]
  .concat("apply x.json", "apply - --dry-run", `apply x --hash ${"0a".repeat(32)}`);
const words = ["state", "hash", "apply", "teardown", "-", "x.json", "doctor", "--", "-x", "--=x"];

/** The text of an ini file, right for the most part. */
export function iniText(chance: Chance): string {
  const eol = chance.pick(["\n", "\n", "\r\n", "\r"]);
  const rarely = chance.pick([2, 10, 1_000]);
  const names = chance.isOneIn(3)
    ? chance.times(chance.few(20), () => chance.pick(keyNames))
    : keyNames.filter(() => chance.isOneIn(3));
  const body = names.map((name) => {
    if (chance.isOneIn(rarely)) return chance.pick([...lines, hostileText(chance), "bogus = 1"]);
    const key = name.replaceAll("-", chance.pick(["-", "-", "_"]));
    return `${key}${chance.pick(["=", " = ", ": "])}${value(name, chance, rarely)}`;
  });
  if (chance.isOneIn(300)) body.push(longLine(chance));
  if (chance.isOneIn(1_000)) body.push(...chance.times(20_000, (index) => `k${index} = 1`));
  const text = [chance.isOneIn(rarely) ? chance.pick(lines) : "[agent]", ...body].join(eol);
  if (!chance.isOneIn(8)) return text;
  const bytes = mutateBytes(new TextEncoder().encode(text), chance, { faults: chance.few(8) });
  return new TextDecoder().decode(bytes);
}

/** A line on which a careless pattern would take very long. */
function longLine(chance: Chance): string {
  const unit = chance.pick([
    " ",
    "\t",
    "a",
    "=",
    ":",
    "[",
    "]",
    " x",
    ";",
    "#",
    "-",
    ".",
    ",",
    "\\",
  ]);
  const start = chance.pick(["", "a", "a =", "[", "interval = ", "service-image = ", "["]);
  return start + unit.repeat(100_000) + chance.pick(["", "b", "]", "=", "!"]);
}

/** Variables, most of them the program's own. */
export function environment(chance: Chance): Map<string, string> {
  const others = ["HOME", "DOCKER_HOST", "STATE_DIRECTORY", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"];
  return new Map(chance.times(chance.few(5), () => {
    const name = chance.pick(keyNames);
    const isOwn = chance.isOneIn(2);
    const text = isOwn ? value(name, chance, 10) : value("state-dir", chance, 5);
    return [isOwn ? variableOf(name) : chance.pick(others), text.replaceAll("\0", "")];
  }));
}

/** The arguments of a command line, right for the most part. */
export function commandLine(chance: Chance): string[] {
  const rarely = chance.pick([2, 10, 1_000]);
  const flags = keyNames.filter(() => chance.isOneIn(8)).flatMap((name) => {
    if (chance.isOneIn(rarely)) return [`--${name}`];
    const text = value(name, chance, rarely);
    return chance.isOneIn(2) ? [`--${name}=${text}`] : [`--${name}`, text];
  });
  const odd = () =>
    chance.any(
      () => chance.pick(switches),
      () => chance.pick(words),
      () => hostileText(chance),
      () => `--${hostileText(chance, "name")}`,
    );
  const command = chance.pick(commands).split(" ").filter((word) => word !== "");
  return [...command, ...flags].flatMap((it) => chance.isOneIn(rarely) ? [it, odd()] : [it]);
}

function value(name: KeyName, chance: Chance, rarely: number): string {
  const { taken, refused } = keyCases[name];
  const [good] = chance.pick(taken);
  if (!chance.isOneIn(rarely)) return good;
  return chance.any(
    () => chance.pick(refused),
    () => chance.pick(refused),
    () => spoilt(good, chance),
    () => hostileText(chance, chance.pick(["image", "name", "address", "id"])),
    () => chance.isOneIn(99) ? longLine(chance) : "",
  );
}

/** How many of the cases that are refused are also printed. */
const casesForEachRun = 10;

/** Configuration files, variables and command lines. */
export function open(): Promise<Target> {
  return Promise.resolve({
    run: async (chance) => {
      const args = commandLine(chance);
      const machine = surroundings(chance);
      const outcome = runCase(args, machine);
      if (outcome === "usage" && chance.isOneIn(casesForEachRun)) await checkRun(args, machine);
      return outcome;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

function surroundings(chance: Chance): Surroundings {
  const text = chance.isOneIn(9) ? null : iniText(chance);
  const variables = environment(chance);
  const [exists, isRoot] = [chance.isOneIn(2), chance.isOneIn(2)];
  return {
    readFile: () => text,
    variable: (name) => variables.get(name),
    exists: () => exists,
    isRoot,
  };
}

function runCase(args: readonly string[], machine: Surroundings): string {
  let parsed: Arguments;
  try {
    parsed = parseArguments(args);
    const configuration = configure(parsed.values, parsed.config, machine);
    checkConfiguration(configuration);
    return configuration.warnings.length > 0 ? "configured, with warnings" : "configured";
  } catch (error) {
    checkError(error, ["UsageError"]);
    return "usage";
  }
}

function checkConfiguration({ agent, intervalMs, listen }: Configuration): void {
  const { master, hostUuid, storePath, agentDirectory, sockets, images } = agent;
  assert.ok(intervalMs >= 5_000 && intervalMs <= 3_600_000, `interval ${intervalMs}`);
  // deno-lint-ignore no-control-regex
  for (const path of [storePath, agentDirectory]) assert.match(path, /^[^\x00]+$/);
  for (const path of sockets) assert.match(path, /^\/[^\0]+$/);
  checkImage(images.base);
  checkImage(images.service.replaceAll("{service}", "x"));
  for (const image of images.byService.values()) checkImage(image);
  for (const prefix of [...agent.networkPrefixes, ...agent.containerPrefixes]) {
    assert.match(prefix, /^[A-Za-z0-9][A-Za-z0-9_.-]*$/);
  }
  if (master) {
    checkPort(master.port);
    assert.match(hostUuid!, /^[A-Za-z0-9_.-]{1,64}$/);
    assert.match(master.host, /^[A-Za-z0-9_.:-]{1,253}$/);
    assert.match(master.fingerprint ?? "0".repeat(64), /^[0-9a-f]{64}$/);
  }
  if (listen) {
    checkPort(listen.port);
    assert.match(listen.host, /^[0-9A-Fa-f.:]+$/);
    assert.ok(listen.allowedNames.length > 0 && !listen.allowedNames.includes(""));
  }
}

function checkPort(port: number): void {
  assert.ok(Number.isInteger(port) && port > 0 && port < 65_536, `port ${port}`);
}

/** A command line that is refused says why in one line, and does nothing. */
async function checkRun(args: readonly string[], machine: Surroundings): Promise<void> {
  let [stdout, stderr] = ["", ""];
  const code = await run(args, {
    ...machine,
    stdout: (text) => {
      stdout += text;
      return "written";
    },
    stderr: (text) => stderr += text,
    columns: () => null,
    stdoutColumns: () => null,
    executable: () => "/opt/decnet/decnet-agent",
    readInput: () => Promise.reject(new Deno.errors.NotFound("no such file")),
    onReload: () => {},
    stopSignal: () => {
      throw new assert.AssertionError({ message: "it was about to change something" });
    },
  });
  const isAnswer = stderr === "" && code === 0;
  if (isAnswer) return assert.ok(/^(Usage|decnet-agent|\{|[0-9a-f]{64})/.test(stdout), stdout);
  assert.equal(code, 3);
  const lines = stderr.split("\n").slice(0, -1);
  // Warnings come before it.
  for (const line of lines) checkMessage(line);
  assert.match(lines.at(-1)!, /^decnet-agent: /);
  if (stdout.startsWith("DECNET")) checkMessage(stdout.replace(/\n$/, ""));
  else if (stdout !== "") JSON.parse(stdout);
}
