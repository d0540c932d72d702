import assert from "node:assert/strict";
import { TopologyStore } from "../../store/mod.ts";
import { oneLan, textOf } from "../apply_host.ts";
import type { Fault } from "../engine/mod.ts";
import { execute, Host } from "./host.ts";
import { faketime, hurried } from "./wall_clock.ts";

const id = oneLan.plan.topologyId;
/** What is said behind any failure. */
const advice =
  "decnet-agent: when that is mended, run it again: what is right already is left alone\n";
const name = (short: string) => `decnet_t_11111111_${short}`;
/** So that a minute passes in 12 s; a look, which has 5 s, must then be answered within one. */
const factor = 5;

interface Row {
  readonly command: "apply" | "teardown";
  /** What the engine does not answer. */
  readonly fault: Fault;
  /** What is said on standard error. */
  readonly says: (docker: string) => string;
}

const rows: Row[] = [
  {
    command: "apply",
    fault: { kind: "hang" },
    says: (docker) => `${docker}: no answer within 5 s`,
  },
  {
    command: "apply",
    fault: { kind: "hang", method: "POST" },
    says: (docker) => `Cannot create network ${name("lan-00")}: ${docker}: no answer within 60 s`,
  },
  {
    command: "teardown",
    fault: { kind: "hang" },
    says: (docker) => `${docker}: no answer within 5 s`,
  },
  {
    command: "teardown",
    fault: { kind: "hang", method: "DELETE", effect: "after" },
    says: (docker) =>
      `Cannot remove container ${name("decky-001-ssh")}: ${docker}: no answer within 60 s`,
  },
];

/** Runs a command against an engine that hangs, and again when it does not. */
async function check({ command, fault, says }: Row): Promise<void> {
  await using host = await Host.create();
  const engine = await host.startEngine();
  engine.images = oneLan.plan.containers.map(({ request }) => request.Image);
  const file = `${host.folder}/document.json`;
  await Deno.writeTextFile(file, textOf("topology-one-lan.json"));
  const apply = ["apply", file, ...host.flags()];
  const args = command === "apply" ? apply : ["teardown", id, ...host.flags()];
  const row = () => {
    using store = TopologyStore.open(host.storePath, { readOnly: true });
    return store.current();
  };
  if (command === "teardown") assert.equal((await execute(apply)).code, 0);

  engine.fault = fault;
  const { code, stdout, stderr } = await execute(args, { wrapper: hurried(factor) });
  const message = `${says(`Docker at ${host.socket}`)}; if that lasts, restart the engine`;
  assert.deepEqual([code, stdout, stderr], [2, "", `decnet-agent: ${message}\n${advice}`]);
  assert.deepEqual([row()?.topologyId, row()?.lastError], [id, message]);
  assert.equal(row()?.versionHash, command === "apply" ? "" : oneLan.versionHash);
  engine.fault = undefined;
  const once = await execute(["--once", ...host.flags()]);
  assert.equal(once.code, 1);
  assert.ok(
    once.stdout.startsWith(`DECNET WARNING - the last apply or teardown failed: ${message}`),
  );

  const again = await execute(args);
  assert.equal(again.code, 0, again.stderr);
  assert.equal(row()?.lastError ?? null, null);
  assert.equal(engine.containers.length, command === "apply" ? 2 : 0);
  assert.equal((await execute(["--once", ...host.flags()])).code, 0);
}

Deno.test({
  name:
    "decnet-agent apply and teardown give up on an engine that hangs, say so, and are finished " +
    `once it is well${faketime.suffix}`,
  ignore: faketime.ignore,
  async fn() {
    faketime.check();
    const results = await Promise.allSettled(rows.map(check));
    for (const result of results) if (result.status === "rejected") throw result.reason;
  },
});
