import assert from "node:assert/strict";
import { readRow } from "../../store/row.ts";
import { oneLan, textOf, threeLans } from "../support/apply_host.ts";
import type { FakeEngine } from "../support/engine/fake_engine.ts";
import { execute, ListeningHost, RunningAgent } from "../support/executable.ts";

const [oneId, threeId] = [oneLan, threeLans].map(({ plan }) => plan.topologyId);

/** A host with the images of both documents, and its listening agent. */
class PushedHost implements AsyncDisposable {
  private constructor(
    readonly listening: ListeningHost,
    readonly engine: FakeEngine,
    readonly flags: readonly string[],
  ) {}

  static async create(...flags: string[]): Promise<PushedHost> {
    const listening = await ListeningHost.create();
    const engine = await listening.host.startEngine();
    engine.images = [oneLan, threeLans]
      .flatMap(({ plan }) => plan.containers.map(({ request }) => request.Image));
    return new PushedHost(listening, engine, [...flags, ...listening.flags]);
  }

  async startAgent(): Promise<RunningAgent> {
    const agent = new RunningAgent(this.flags);
    await agent.until(() => agent.stderr.includes("msg=listening"));
    return agent;
  }

  /** Pushes a document; returns the status and the `detail`. */
  async push({ text, versionHash }: typeof oneLan): Promise<[number, string]> {
    const body = `{"hydrated":${text},"version_hash":"${versionHash}"}`;
    const reply = await this.listening.call("/topology/apply", { method: "POST", body });
    return [reply.status, (reply.body as { detail?: string }).detail ?? ""];
  }

  /** Runs a command beside the agent. */
  run(...args: string[]) {
    return execute([...args, ...this.flags]);
  }

  /** Writes a document of tests/data to a file. */
  async write(name: string): Promise<string> {
    const path = `${this.listening.host.folder}/${name}`;
    await Deno.writeTextFile(path, textOf(name));
    return path;
  }

  get row() {
    return readRow(this.listening.host.storePath);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.listening[Symbol.asyncDispose]();
  }
}

Deno.test("a refused push is in --once, state and doctor, and goes with it", async () => {
  await using host = await PushedHost.create();
  await using agent = await host.startAgent();
  assert.equal((await host.push(oneLan))[0], 200);
  const [status, detail] = await host.push(threeLans);
  assert.equal(status, 409);
  assert.equal(
    detail,
    `agent already has topology '${oneId}'; cannot apply '${threeId}': ` +
      `tear '${oneId}' down for this host at the master first, or set supersede = true here`,
  );
  const said = `a push was refused: ${detail}`;
  const once = await host.run("--once");
  assert.equal(once.code, 1);
  assert.ok(once.stdout.startsWith(`DECNET WARNING - ${said} | `), once.stdout);
  const state = await host.run("state");
  assert.ok(state.stdout.includes(`\nrefused push  ${detail}\n`), state.stdout);
  const { checks } = JSON.parse((await host.run("doctor", "--json")).stdout);
  const store = checks.find(({ name }: { name: string }) => name === "store");
  assert.equal(store.state, "warning");
  assert.ok(store.details.startsWith(said), store.details);
  assert.match(store.fix, /^tear the stored topology down for this host, at the master or/);
  const body = { topology_id: oneId };
  await host.listening.call("/topology/teardown", { method: "POST", body });
  assert.deepEqual(await host.push(threeLans), [200, ""]);
  assert.equal((await host.run("--once")).code, 0);
  await agent.stop();
});

Deno.test("a push takes the place of an error that left nothing, by hand too", async () => {
  await using host = await PushedHost.create();
  await using agent = await host.startAgent();
  const { images } = host.engine;
  host.engine.images = [];
  assert.deepEqual((await host.push(oneLan))[0], 500);
  host.engine.images = images;
  const [file, other] = [
    await host.write("topology-three-lans.json"),
    await host.write("topology-one-lan.json"),
  ];
  assert.equal((await host.run("apply", file, "--dry-run")).code, 0);
  // The command and the agent find the error at the same time: one of them takes its place.
  host.engine.latencyMs = 20;
  const [byHand, pushed] = await Promise.all([host.run("apply", file), host.push(oneLan)]);
  host.engine.latencyMs = 0;
  const isByHand = host.row?.topologyId === threeId;
  assert.deepEqual([byHand.code, pushed[0]], isByHand ? [0, 409] : [3, 200], byHand.stderr);
  await host.run("teardown", host.row!.topologyId);
  host.engine.fault = { kind: "status", status: 500, message: "no", path: "/containers/create" };
  assert.equal((await host.push(threeLans))[0], 500);
  host.engine.fault = undefined;
  const left =
    /: an apply of '\S+' has failed, and 3 networks of it are left: (decnet_t_\S+,? ?){3}; /;
  for (const args of [["apply", other], ["apply", other, "--dry-run"]]) {
    const { code, stdout, stderr } = await host.run(...args);
    assert.equal(code, 3);
    assert.match(stdout + stderr, left);
  }
  const [status, detail] = await host.push(oneLan);
  assert.equal(status, 409);
  assert.match(detail, left);
  const [, command, id] = /with decnet-agent (teardown) (\S+)$/.exec(detail)!;
  assert.equal((await host.run(command!, id!)).code, 0);
  assert.equal((await host.push(oneLan))[0], 200);
  await agent.stop();
});

Deno.test("topologies that replace each other end, after a restart too", async () => {
  await using host = await PushedHost.create("--supersede=true");
  const pushes = async (agent: RunningAgent, ...expected: (readonly [typeof oneLan, number])[]) => {
    for (const [document, status] of expected) {
      assert.equal((await host.push(document))[0], status, agent.stderr);
    }
  };
  await using first = await host.startAgent();
  await pushes(first, [oneLan, 200], [threeLans, 200], [oneLan, 200]);
  await first.stop();
  await using second = await host.startAgent();
  const before = host.engine.changes.length;
  await pushes(second, [threeLans, 409], [oneLan, 200], [threeLans, 409], [threeLans, 409]);
  assert.equal(host.engine.changes.length, before);
  const logged = second.stderr.match(/replaced each other on this host again and again/g);
  assert.equal(logged?.length, 1);
  const once = await host.run("--once");
  assert.equal(once.code, 1);
  assert.match(
    once.stdout,
    /^DECNET WARNING - a push was refused: .* tear down all but one of them/,
  );
  const file = await host.write("topology-three-lans.json");
  const { code, stderr } = await host.run("apply", file);
  assert.equal(code, 0, stderr);
  await pushes(second, [oneLan, 409]);
  assert.equal(host.row?.topologyId, threeId);
  await second.stop();
});
