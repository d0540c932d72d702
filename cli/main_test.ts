import assert from "node:assert/strict";
import { AgentSetup, document, versionHash } from "../tests/support/agent_setup.ts";
import { flagsOf, runOn } from "../tests/support/command_line.ts";
import type { Terminal } from "./terminal.ts";
import manifest from "../deno.json" with { type: "json" };

Deno.test("run() --version shows the versions of agent, Deno and SQLite", async () => {
  const { code, stdout } = await runOn(["--version"]);
  assert.equal(code, 0);
  const expected =
    `decnet-agent ${manifest.version} (commit dev, Deno ${Deno.version.deno}, SQLite `;
  assert.ok(stdout.startsWith(expected) && /\d+\.\d+\.\d+\)\n$/.test(stdout), stdout);
  for (const args of [["version"], ["-V"], ["-V", "state"]]) {
    assert.deepEqual(await runOn(args), { code, stdout, stderr: "" });
  }
  const json = JSON.parse((await runOn(["--version", "--json"])).stdout);
  assert.deepEqual(Object.keys(json), ["agent", "commit", "date", "deno", "sqlite"]);
  assert.deepEqual([json.agent, json.commit, json.date], [manifest.version, "dev", null]);
});

Deno.test("run() hash prints the version hash of a file or of standard input", async () => {
  const read: string[] = [];
  const readInput = (path: string) => {
    read.push(path);
    return Promise.resolve(new TextEncoder().encode(document));
  };
  for (const path of ["-", "/a b"]) {
    const ended = await runOn(["hash", path], { readInput });
    assert.deepEqual(ended, { code: 0, stdout: `${versionHash}\n`, stderr: "" });
  }
  assert.deepEqual(read, ["-", "/a b"]);
  const { stdout } = await runOn(["hash", "-", "--json"], { readInput });
  assert.deepEqual(JSON.parse(stdout), { version_hash: versionHash });
});

Deno.test("run() needs no configuration for --help, --version and hash", async () => {
  const broken: Partial<Terminal> = {
    variable: (name) => name === "DOCKER_HOST" ? "tcp://d" : "\0",
    readFile: () => "[agent]\nnonsense",
    readInput: () => Promise.resolve(new TextEncoder().encode("{}")),
  };
  for (const args of [["--help"], ["help", "state"], ["--version"], ["version"], ["hash", "-"]]) {
    assert.equal((await runOn(args, broken)).code, 0);
  }
  for (const args of [[], ["run"], ["--once"], ["state"], ["apply", "-"], ["teardown", "a"]]) {
    assert.equal((await runOn(args, broken)).code, 3);
  }
});

Deno.test("run() exits with 3 when its answer is lost", async () => {
  await using setup = await AgentSetup.create();
  const machine: Partial<Terminal> = {
    stdout: () => "no space",
    readInput: () => Promise.resolve(new TextEncoder().encode(document)),
  };
  const flags = flagsOf(setup, { master: false });
  for (const args of [["--help"], ["print", "man"], ["hash", "-"], ["state"], ["--once"]]) {
    const { code } = await runOn([...args, ...flags], { ...machine, stdout: () => null });
    assert.equal(code, 0, args.join());
    const { code: lostCode, stderr } = await runOn([...args, ...flags], machine);
    const reason = "decnet-agent: Cannot write to standard output: no space\n";
    assert.deepEqual([lostCode, stderr], [3, reason], args.join());
  }
  // A worse exit code is kept.
  setup.engine.fault = { kind: "status", status: 500, message: "boom" };
  assert.equal((await runOn(["--once", ...flags], machine)).code, 2);
});

Deno.test("run() exits with 3 for wrong usage or configuration", async () => {
  const cases: [args: string[], message: string][] = [
    [["--nonsense"], "'--nonsense' is not a flag; --help lists them."],
    [
      ["state", "--interval=4s"],
      "interval: '4s' (from --interval) must be a time from 5s to 1h, " +
      "such as 30 (seconds), 30s, 5m or 1h",
    ],
    [["--config=/x.ini"], "Cannot read /x.ini: no such file"],
    [
      ["--master-host=m"],
      "host-uuid: required with master-host, but not set; it is the id of this host at the master",
    ],
  ];
  for (const [args, message] of cases) {
    const stopSignal = () => new AbortController().signal;
    assert.deepEqual(await runOn(args, { stopSignal }), {
      code: 3,
      stdout: "",
      stderr: `decnet-agent: ${message}\n`,
    });
    // Monitoring reads standard output.
    const line = `DECNET UNKNOWN - ${message}\n`;
    const once = args.filter((arg) => arg !== "state");
    assert.equal((await runOn([...once, "--once"])).stdout, line);
    assert.equal((await runOn([...once, "--once", "--quiet"])).stdout, line);
    const json = { status: "UNKNOWN", exit_code: 3, summary: message };
    const { stdout } = await runOn(["--json", ...once, "--once"]);
    assert.deepEqual(JSON.parse(stdout), json);
  }
  const { code, stdout } = await runOn(["doctor", "--json", "--x"]);
  assert.deepEqual([code, JSON.parse(stdout).status], [3, "UNKNOWN"]);
});

Deno.test("run() prints warnings of the configuration", async () => {
  await using setup = await AgentSetup.create();
  const readFile = () => "[agent]\ncolour = red\n\x1b[31msize\u202e = 1";
  const flags = flagsOf(setup, { master: false });
  const warnings = [
    "/etc/decnet/decnet.ini line 2: unknown key 'colour' is ignored",
    "/etc/decnet/decnet.ini line 3: unknown key ' [31msize ' is ignored",
  ];
  const stderr = warnings.map((warning) => `decnet-agent: ${warning}\n`).join("");
  const once = await runOn(["--once", ...flags], { readFile });
  assert.deepEqual([once.code, once.stderr], [1, stderr]);
  // Monitoring reads standard output only, and a misspelt key has no effect.
  assert.ok(once.stdout.startsWith(`DECNET WARNING - ${warnings.join("; ")} | `), once.stdout);
  const json = await runOn(["--once", "--json", ...flags], { readFile });
  assert.deepEqual([json.code, JSON.parse(json.stdout).status], [1, "WARNING"]);
  const state = await runOn(["state", ...flags], { readFile });
  assert.deepEqual([state.code, state.stderr], [0, stderr]);
});

Deno.test("run() says at a terminal what it does without a command", async () => {
  await using setup = await AgentSetup.create();
  const stopSignal = () => AbortSignal.abort(new Error("the agent is stopping"));
  const hint =
    /^decnet-agent: runs until Ctrl-C\. Add --once to check once, print install \| sh .*\n/;
  const cases: [words: string[], isTerminal: boolean, hasHint: boolean][] = [
    [[], true, true],
    [[], false, false],
    [["run"], true, false],
  ];
  for (const [words, isTerminal, hasHint] of cases) {
    const machine = { stopSignal, stderrIsTerminal: () => isTerminal };
    const { stderr } = await runOn([...words, ...flagsOf(setup)], machine);
    assert.equal(hint.test(stderr), hasHint, stderr);
    assert.equal(stderr.match(/decnet-agent: /g)?.length ?? 0, Number(hasHint));
  }
});

Deno.test("run() logs the start and the stop of the service", async () => {
  await using setup = await AgentSetup.create();
  const stopSignal = () => AbortSignal.abort(new Error("the agent is stopping"));
  const { code, stdout, stderr } = await runOn(flagsOf(setup), { stopSignal });
  assert.deepEqual([code, stdout], [0, ""]);
  const [started, stopped, end] = stderr.replaceAll(/^time=\S+Z /gm, "").split("\n");
  assert.equal(
    started,
    `level=info msg=started version=${manifest.version} master=127.0.0.1:${setup.port} host=host-1 ` +
      `interval=30s store=${setup.storePath} docker=${setup.engine.socketPath} listen=off`,
  );
  assert.deepEqual([stopped, end], ["level=info msg=stopped", ""]);
});
