import assert from "node:assert/strict";
import { oneLan, threeLans } from "../support/apply_host.ts";
import { execute, ListeningHost, RunningAgent } from "../support/executable.ts";

const [oneId, threeId] = [oneLan, threeLans].map(({ plan }) => plan.topologyId);

Deno.test("a refused push is in --once, state and doctor, and goes with it", async () => {
  await using listening = await ListeningHost.create();
  const engine = await listening.host.startEngine();
  engine.images = [oneLan, threeLans]
    .flatMap(({ plan }) => plan.containers.map(({ request }) => request.Image));
  const post = (path: string, body: string) => listening.call(path, { method: "POST", body });
  const push = async ({ text, versionHash }: typeof oneLan) => {
    const body = `{"hydrated":${text},"version_hash":"${versionHash}"}`;
    const reply = await post("/topology/apply", body);
    return [reply.status, (reply.body as { detail?: string }).detail ?? ""] as const;
  };
  const run = (...args: string[]) => execute([...args, ...listening.flags]);
  await using agent = new RunningAgent(listening.flags);
  await agent.until(() => agent.stderr.includes("msg=listening"));
  assert.equal((await push(oneLan))[0], 200);
  const [status, detail] = await push(threeLans);
  assert.equal(status, 409);
  assert.equal(
    detail,
    `agent already has topology '${oneId}'; cannot apply '${threeId}': ` +
      `tear '${oneId}' down for this host at the master first, or set supersede = true here`,
  );
  const said = `a push was refused: ${detail}`;
  const once = await run("--once");
  assert.equal(once.code, 1);
  assert.ok(once.stdout.startsWith(`DECNET WARNING - ${said} | `), once.stdout);
  const state = await run("state");
  assert.ok(state.stdout.includes(`\nrefused push  ${detail}\n`), state.stdout);
  const { checks } = JSON.parse((await run("doctor", "--json")).stdout);
  const store = checks.find(({ name }: { name: string }) => name === "store");
  assert.equal(store.state, "warning");
  assert.ok(store.details.startsWith(said), store.details);
  assert.match(store.fix, /^tear the stored topology down for this host, at the master or/);
  await post("/topology/teardown", JSON.stringify({ topology_id: oneId }));
  assert.deepEqual(await push(threeLans), [200, ""]);
  assert.equal((await run("--once")).code, 0);
  await agent.stop();
});
