import assert from "node:assert/strict";
import { AgentSetup, topologyId } from "../tests/support/agent_setup.ts";
import { type Ended, flagsOf, runOn } from "../tests/support/command_line.ts";
import { container } from "../tests/support/engine/state.ts";
import { execSql } from "../tests/support/store.ts";
import { readRow } from "../store/row.ts";

const short = topologyId.slice(0, 8);
const otherId = `${short}-other`;

/** The text after the id of what was torn down. */
const removed = "torn down: 3 changes";
const wasEmpty = "torn down: nothing of it was in Docker";

interface Case {
  readonly title: string;
  readonly given: string;
  readonly plant: (setup: AgentSetup) => void;
  readonly code: number;
  /** The line on standard output; empty when it is refused. */
  readonly stdout: string;
  /** The first line on standard error, after the name of the program. */
  readonly stderr?: string;
}

const apply = (setup: AgentSetup) => setup.apply();
const nothing = () => {};
/** Leaves the objects of the topology, and removes its row. */
const withoutRow = (setup: AgentSetup) => {
  setup.apply();
  setup.changeStore((store) => store.clear(topologyId));
};
const labelled = (id: string) => (setup: AgentSetup) => {
  withoutRow(setup);
  const labels = { "decnet.topology.id": id };
  setup.engine.containers = [
    ...setup.engine.containers,
    container({ name: `decnet_t_${short}_x`, labels }),
  ];
};
const marker = (setup: AgentSetup) =>
  setup.changeStore((store) => store.recordError(topologyId, "no space"));
const empty = '{"topology":{"id":"new"},"lans":[],"deckies":[]}';
const olderRow = (setup: AgentSetup) => {
  marker(setup);
  execSql(setup.storePath, "DROP INDEX applied_topology_one_row");
  execSql(setup.storePath, `INSERT INTO applied_topology VALUES ('new', 'h', '${empty}', 9, NULL)`);
};
const refused = (given: string, applied = topologyId) =>
  `nothing found for topology ${given}; topology ${applied} is applied on this host`;

const cases: readonly Case[] = [
  { title: "the id", given: topologyId, plant: apply, code: 0, stdout: `${topologyId} ${removed}` },
  {
    title: "8 characters",
    given: short,
    plant: apply,
    code: 0,
    stdout: `${topologyId} ${removed}`,
  },
  {
    title: "all characters but the last",
    given: topologyId.slice(0, -1),
    plant: apply,
    code: 0,
    stdout: `${topologyId} ${removed}`,
  },
  {
    title: "8 characters of a marker row",
    given: short,
    plant: marker,
    code: 0,
    stdout: `${topologyId} ${wasEmpty}`,
  },
  {
    title: "8 characters of what is only in Docker",
    given: short,
    plant: withoutRow,
    code: 0,
    stdout: `${topologyId} ${removed}`,
  },
  {
    title: "8 characters of what is in Docker without a store",
    given: short,
    plant: (setup) => {
      setup.apply();
      Deno.removeSync(setup.storePath);
    },
    code: 0,
    stdout: `${topologyId} ${removed}`,
  },
  {
    title: "an older row",
    given: topologyId,
    plant: olderRow,
    code: 0,
    stdout: `${topologyId} ${wasEmpty}`,
  },
  {
    title: "an id where nothing is applied",
    given: short,
    plant: nothing,
    code: 0,
    stdout: `nothing found for topology ${short}`,
  },
  ...Object.entries({
    "7 characters": topologyId.slice(0, 7),
    "a longer id": `${topologyId}0`,
    "another short id": "5e1f0a3c",
    "another id that starts the same": otherId,
  }).map(([what, given]): Case => ({
    title: `${what} for none`,
    given,
    plant: apply,
    code: 3,
    stdout: "",
    stderr: refused(given),
  })),
  {
    title: "another id than that of a marker row",
    given: "5e1f0a3c",
    plant: marker,
    code: 3,
    stdout: "",
    stderr: refused("5e1f0a3c"),
  },
  {
    title: "8 characters of two ids in Docker",
    given: short,
    plant: labelled(otherId),
    code: 3,
    stdout: "",
    stderr: `several topologies in Docker have an id that starts with ${short}: ` +
      `${topologyId}, ${otherId}`,
  },
];

const teardown = (setup: AgentSetup, ...args: string[]): Promise<Ended> =>
  runOn(["teardown", ...args, ...flagsOf(setup, { master: false })]);

for (const { title, given, plant, code, stdout, stderr } of cases) {
  Deno.test(`run() teardown of ${title}`, async () => {
    await using setup = await AgentSetup.create();
    plant(setup);
    const before = setup.engine.containers.length;
    const ended = await teardown(setup, given);
    assert.equal(ended.code, code, ended.stderr);
    const line = stdout.startsWith("nothing") || stdout === "" ? stdout : `topology ${stdout}`;
    assert.equal(ended.stdout, line && `${line}\n`);
    if (code === 0) assert.notEqual(readRow(setup.storePath)?.topologyId, topologyId);
    else {
      assert.equal(ended.stderr.split("\n")[0], `decnet-agent: ${stderr}`);
      assert.deepEqual([setup.engine.changes, setup.engine.containers.length], [[], before]);
    }
  });
}

Deno.test("run() teardown --json names another topology as a conflict", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  const { code, stdout, stderr } = await teardown(setup, "5e1f0a3c", "--json");
  assert.equal(code, 3);
  const error = refused("5e1f0a3c");
  assert.deepEqual(JSON.parse(stdout), { status: "conflict", exit_code: 3, error });
  const advice = "nothing was changed; give the id of that topology, or its first 8 characters";
  assert.equal(stderr, `decnet-agent: ${error}\ndecnet-agent: ${advice}\n`);
});
