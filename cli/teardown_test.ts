import assert from "node:assert/strict";
import { AgentSetup, topologyId } from "../tests/support/agent_setup.ts";
import { type Ended, flagsOf, runOn } from "../tests/support/command_line.ts";
import { container } from "../tests/support/engine/state.ts";
import { execSql } from "../tests/support/store.ts";
import { readRow } from "../store/topology_store.ts";

const short = topologyId.slice(0, 8);
const otherId = `${short}-other`;

const removed = `topology ${topologyId} torn down: 3 changes`;
const wasEmpty = `topology ${topologyId} torn down: nothing of it was in Docker`;

const apply = (setup: AgentSetup) => setup.apply();
const nothing = (_: AgentSetup): void => {};
const withoutStore = (setup: AgentSetup) => {
  setup.apply();
  Deno.removeSync(setup.storePath);
};
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

/** What is torn down: a title, the given id, what is on the host, and the line that is printed. */
const accepted: [title: string, given: string, plant: typeof nothing, line: string][] = [
  ["the id", topologyId, apply, removed],
  ["8 characters", short, apply, removed],
  ["all characters but the last", topologyId.slice(0, -1), apply, removed],
  ["8 characters of a marker row", short, marker, wasEmpty],
  ["8 characters of what is only in Docker", short, withoutRow, removed],
  ["8 characters of what is in Docker without a store", short, withoutStore, removed],
  ["an older row", topologyId, olderRow, wasEmpty],
  ["an id where nothing is applied", short, nothing, `nothing found for topology ${short}`],
];

/** What is refused, likewise, with the first line on standard error. */
const refusals: typeof accepted = [
  ...["5e1f0a3c", otherId, `${topologyId}0`, topologyId.slice(0, 7)]
    .map((id): typeof accepted[number] => [`${id} for none`, id, apply, refused(id)]),
  ["another id than that of a marker row", "5e1f0a3c", marker, refused("5e1f0a3c")],
  [
    "8 characters of two ids in Docker",
    short,
    labelled(otherId),
    `several topologies in Docker have an id that starts with ${short}: ${topologyId}, ${otherId}`,
  ],
];

const teardown = (setup: AgentSetup, ...args: string[]): Promise<Ended> =>
  runOn(["teardown", ...args, ...flagsOf(setup, { master: false })]);

for (const [title, given, plant, line] of accepted) {
  Deno.test(`run() teardown of ${title}`, async () => {
    await using setup = await AgentSetup.create();
    plant(setup);
    const { code, stdout, stderr } = await teardown(setup, given);
    assert.deepEqual([code, stdout], [0, `${line}\n`], stderr);
    assert.notEqual(readRow(setup.storePath)?.topologyId, topologyId);
  });
}

for (const [title, given, plant, line] of refusals) {
  Deno.test(`run() teardown refuses ${title}`, async () => {
    await using setup = await AgentSetup.create();
    plant(setup);
    const before = setup.engine.containers.length;
    const { code, stdout, stderr } = await teardown(setup, given);
    assert.deepEqual([code, stdout], [3, ""]);
    assert.equal(stderr.split("\n")[0], `decnet-agent: ${line}`);
    assert.deepEqual([setup.engine.changes, setup.engine.containers.length], [[], before]);
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
