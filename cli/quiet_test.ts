import assert from "node:assert/strict";
import { AgentSetup } from "../tests/agent_setup.ts";
import { flagsOf, runOn } from "../tests/command_line.ts";

interface Row {
  readonly what: string;
  readonly code: 0 | 1 | 2 | 3;
  readonly args?: readonly string[];
  readonly prepare?: (setup: AgentSetup) => unknown;
}

const rows: Row[] = [
  { what: "all is well", code: 0 },
  { what: "all is well, and the beat is not to be sent", code: 0, args: ["--dry-run"] },
  { what: "there is drift", code: 1, prepare: ({ engine }) => engine.containers = [] },
  {
    what: "Docker answers with an error",
    code: 2,
    prepare: ({ engine }) => engine.fault = { kind: "status", status: 500, message: "boom" },
  },
  { what: "the master refuses", code: 2, prepare: ({ master }) => master.answer = { status: 403 } },
  {
    what: "certificates are missing",
    code: 3,
    prepare: (setup) => Deno.remove(`${setup.path}/worker.key`),
  },
  { what: "the configuration is wrong", code: 3, args: ["--interval=1s"] },
];

/** The line without the figures of time, which are others each time. */
const lasting = (line: string) => line.replaceAll(/=[\d.]+s\b/g, "=s");

for (const { what, code, args = [], prepare = () => {} } of rows) {
  Deno.test(`--once --quiet prints ${code === 0 ? "nothing" : "the line"} when ${what}`, async () => {
    await using setup = await AgentSetup.create();
    setup.apply();
    await prepare(setup);
    const loud = await runOn(["--once", ...flagsOf(setup), ...args]);
    const quiet = await runOn(["--once", "--quiet", ...flagsOf(setup), ...args]);
    assert.deepEqual([loud.code, quiet.code], [code, code]);
    assert.match(loud.stdout, /^DECNET [^\n]+\n$/);
    assert.equal(lasting(quiet.stdout), code === 0 ? "" : lasting(loud.stdout));
    assert.equal(quiet.stderr, loud.stderr);
  });
}

Deno.test("--once --quiet sends the beat all the same", async () => {
  await using setup = await AgentSetup.create();
  assert.equal((await runOn(["--once", "--quiet", ...flagsOf(setup)])).code, 0);
  assert.equal(setup.master.beatCount, 1);
});

Deno.test("--once --quiet ends as ever when what it prints is lost", async () => {
  await using setup = await AgentSetup.create();
  const args = ["--once", "--quiet", ...flagsOf(setup)];
  let lostCount = 0;
  const stdout = () => {
    lostCount++;
    return "lost" as const;
  };
  assert.equal((await runOn(args, { stdout })).code, 0);
  assert.equal(lostCount, 0, "nothing was to be printed");
  setup.engine.fault = { kind: "status", status: 500, message: "boom" };
  assert.equal((await runOn(args, { stdout })).code, 2);
  assert.equal((await runOn([...args, "--interval=1s"], { stdout })).code, 3);
  assert.equal(lostCount, 2);
});

Deno.test("--quiet goes with a check that prints a line, and with nothing else", async () => {
  for (const args of [["--quiet"], ["state", "--quiet"], ["--once", "--quiet", "--json"]]) {
    const { code, stdout, stderr } = await runOn(args);
    assert.equal(code, 3);
    assert.match(stderr, /^decnet-agent: --quiet [^\n]+\n$/);
    assert.equal(stdout === "", !args.includes("--once"));
  }
  assert.equal((await runOn(["--once", "--quiet=false"])).code, 3);
});
