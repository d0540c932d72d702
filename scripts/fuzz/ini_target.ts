import assert from "node:assert/strict";
import { type Arguments, parseArguments } from "../../cli/arguments.ts";
import { type Configuration, configure, run, type Surroundings } from "../../cli/mod.ts";
import type { Chance } from "./chance.ts";
import { commandLine, environment, iniText } from "./configurations.ts";
import { checkError, checkMessage } from "./message_oracle.ts";
import { checkImage } from "./request_oracle.ts";
import type { Target } from "./target.ts";

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
