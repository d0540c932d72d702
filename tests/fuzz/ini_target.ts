import assert from "node:assert/strict";
import { type Arguments, parseArguments } from "../../cli/args.ts";
import { type Configuration, configure } from "../../cli/config.ts";
import { type KeyName, keyNames, variableOf } from "../../cli/options.ts";
import type { Environment } from "../../cli/terminal.ts";
import { runOn } from "../support/command_line.ts";
import { keyCases } from "../support/option_cases.ts";
import { checkError, checkImage, checkMessage } from "./oracles.ts";
import type { SeededRandom } from "../support/random.ts";
import { hostileText, mutateBytes, spoilt } from "./hostile.ts";
import type { Target } from "./target.ts";

const lines = [
  "[agent]|[agent|agent]|[]|[ Agent ]|[master]|[agent] ; x|[agent]x|# c|; c|=|:|=x|x|x=|x:y|",
  "interval|interval = 30s|interval: 30s|INTERVAL=30s|  interval = 30s|\ufeff[agent]|\0|%(x)s",
  "\ud800 = x",
].flatMap((line) => line.split("|"));
const switches = ["--once", "--json", "--dry-run", "--no-wait", "--version", "--help", "-h", "-V"];
const commands = ["", "--once", "--once --json", "state", "hash x.json", "teardown a", "--version"]
  .concat("apply x.json", "apply - --dry-run", `apply x --hash ${"0a".repeat(32)}`);
const words = ["state", "hash", "apply", "teardown", "-", "x.json", "doctor", "--", "-x", "--=x"]
  .concat("help", "version");

/** The text of an ini file, right for the most part. */
function iniText(random: SeededRandom): string {
  const eol = random.pick(["\n", "\n", "\r\n", "\r"]);
  const rarely = random.pick([2, 10, 1_000]);
  const names = random.isOneIn(3)
    ? random.times(random.few(20), () => random.pick(keyNames))
    : keyNames.filter(() => random.isOneIn(3));
  const body = names.map((name) => {
    if (random.isOneIn(rarely)) return random.pick([...lines, hostileText(random), "bogus = 1"]);
    const key = name.replaceAll("-", random.pick(["-", "-", "_"]));
    return `${key}${random.pick(["=", " = ", ": "])}${value(name, random, rarely)}`;
  });
  if (random.isOneIn(300)) body.push(longLine(random));
  if (random.isOneIn(1_000)) body.push(...random.times(20_000, (index) => `k${index} = 1`));
  const text = [random.isOneIn(rarely) ? random.pick(lines) : "[agent]", ...body].join(eol);
  if (!random.isOneIn(8)) return text;
  const bytes = mutateBytes(new TextEncoder().encode(text), random, { faults: random.few(8) });
  return new TextDecoder().decode(bytes);
}

/** A line on which a careless pattern would take very long. */
function longLine(random: SeededRandom): string {
  const unit = random.pick([" x", ..." \ta=:[];#-.,\\"]);
  const start = random.pick(["", "a", "a =", "[", "interval = ", "service-image = ", "["]);
  return start + unit.repeat(100_000) + random.pick(["", "b", "]", "=", "!"]);
}

/** Variables, most of them the program's own. */
function environment(random: SeededRandom): Map<string, string> {
  const others = ["HOME", "DOCKER_HOST", "STATE_DIRECTORY", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"];
  return new Map(random.times(random.few(5), () => {
    const name = random.pick(keyNames);
    const isOwn = random.isOneIn(2);
    const text = isOwn ? value(name, random, 10) : value("state-dir", random, 5);
    return [isOwn ? variableOf(name) : random.pick(others), text.replaceAll("\0", "")];
  }));
}

/** The arguments of a command line, right for the most part. */
function commandLine(random: SeededRandom): string[] {
  const rarely = random.pick([2, 10, 1_000]);
  const flags = keyNames.filter(() => random.isOneIn(8)).flatMap((name) => {
    if (random.isOneIn(rarely)) return [`--${name}`];
    const text = value(name, random, rarely);
    return random.isOneIn(2) ? [`--${name}=${text}`] : [`--${name}`, text];
  });
  const odd = () =>
    random.any(
      () => random.pick(switches),
      () => random.pick(words),
      () => hostileText(random),
      () => `--${hostileText(random, "name")}`,
    );
  const command = random.pick(commands).split(" ").filter((word) => word !== "");
  return [...command, ...flags].flatMap((it) => random.isOneIn(rarely) ? [it, odd()] : [it]);
}

function value(name: KeyName, random: SeededRandom, rarely: number): string {
  const { taken, refused } = keyCases[name];
  const [good] = random.pick(taken);
  if (!random.isOneIn(rarely)) return good;
  return random.any(
    () => random.pick(refused),
    () => random.pick(refused),
    () => spoilt(good, random),
    () => hostileText(random, random.pick(["image", "name", "address", "id"])),
    () => random.isOneIn(99) ? longLine(random) : "",
  );
}

/** How many of the cases that are refused are also printed. */
const casesForEachRun = 10;

/** Opens the target: configuration files, variables and command lines. */
export function open(): Target {
  return {
    run: async (random) => {
      const args = commandLine(random);
      const machine = machineOf(random);
      const outcome = runCase(args, machine);
      if (outcome === "usage" && random.isOneIn(casesForEachRun)) await checkRun(args, machine);
      return outcome;
    },
  };
}

function machineOf(random: SeededRandom): Environment {
  const text = random.isOneIn(9) ? null : iniText(random);
  const variables = environment(random);
  const [exists, isRoot] = [random.isOneIn(2), random.isOneIn(2)];
  return {
    readFile: () => text,
    variable: (name) => variables.get(name),
    exists: () => exists,
    isRoot,
  };
}

function runCase(args: readonly string[], machine: Environment): string {
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
  const { master, hostUuid, storePath, agentDirectory, sockets, planOptions: { images } } = agent;
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
  for (const port of [master, listen].flatMap((it) => it ? [it.port] : [])) {
    assert.ok(Number.isInteger(port) && port > 0 && port < 65_536, `port ${port}`);
  }
  if (master) {
    assert.match(hostUuid!, /^[A-Za-z0-9_.-]{1,64}$/);
    assert.match(master.host, /^[A-Za-z0-9_.:-]{1,253}$/);
    assert.match(master.fingerprint ?? "0".repeat(64), /^[0-9a-f]{64}$/);
  }
  if (listen) {
    assert.match(listen.host, /^[0-9A-Fa-f.:]+$/);
    assert.ok(listen.allowedNames.length > 0 && !listen.allowedNames.includes(""));
  }
}

/** Checks that a rejected command line says why in one line, and does nothing. */
async function checkRun(args: readonly string[], machine: Environment): Promise<void> {
  const stopSignal = () => assert.fail("it was going to change something");
  const { code, stdout, stderr } = await runOn(args, { ...machine, stopSignal });
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
