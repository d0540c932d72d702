import assert from "node:assert/strict";
import { type ApplyHost, candidateOf, oneLan, textOf, threeLans, withHost } from "./apply_host.ts";
import { container, network } from "./engine/mod.ts";
import { runSql } from "./sample_store.ts";

const id = threeLans.plan.topologyId;
const prefix = "decnet_t_7c9e6679_";
const labels = { "decnet.topology.id": id };

/** Removes the containers of these names, as by hand. */
function lose(host: ApplyHost, ...names: string[]): void {
  host.engine.containers = host.engine.containers
    .filter(({ Names: [name] }) => !names.includes(name!.replace(`/${prefix}`, "")));
}

Deno.test("Applier.apply() tells each step when it is done", () =>
  withHost(async (host) => {
    const steps: string[] = [];
    let [count, total] = [0, 0];
    const onStep = (step: { done: number; total: number; text: string }) => {
      assert.equal(step.done, ++count);
      total = step.total;
      steps.push(step.text.replace(prefix, ""));
    };
    const { topologyId, changes } = await host.apply(threeLans, { onStep });
    assert.deepEqual([topologyId, changes, count, total], [id, 12, 12, 12]);
    assert.deepEqual(
      steps.slice(0, 3).sort(),
      ["lan-00", "lan-01", "lan-02"].map((name) => `create network ${name}`),
    );
    for (const name of ["decky-001-ssh", "decky-002-http", "decky-003-smb", "decky-003-mysql"]) {
      const base = steps.indexOf(`create container ${name.slice(0, 9)}`);
      assert.ok(base > 0 && base < steps.indexOf(`create container ${name}`), name);
    }
    await host.assertApplied(threeLans);
  }));

Deno.test("Applier.apply() makes networks before bases, and starts these before their services", () =>
  withHost(async (host) => {
    await host.apply(threeLans);
    const { engine } = host;
    const names = new Map(engine.containers.map((it) => [it.Id, it.Names[0]!.slice(1)]));
    const calls = engine.changes.map(({ path }) =>
      path.replace(/[0-9a-f]{64}/, (id) => names.get(id)!)
    );
    const lastNetwork = calls.lastIndexOf("/networks/create");
    const firstContainer = calls.findIndex((path) => path.startsWith("/containers/create"));
    assert.equal(lastNetwork, 2);
    assert.equal(firstContainer, 3);
    for (const { name, base } of threeLans.plan.containers) {
      const created = calls.indexOf(`/containers/create?name=${name}`);
      assert.ok(created > 0 && created < calls.indexOf(`/containers/${name}/start`));
      if (base !== null) assert.ok(calls.indexOf(`/containers/${base}/start`) < created);
    }
  }));

Deno.test("Applier.apply() asks the engine for no change when nothing has changed", () =>
  withHost(async (host) => {
    await host.apply(threeLans);
    const before = host.engine.changes.length;
    const calls = host.engine.requestCount;
    for (let round = 0; round < 3; round++) {
      assert.equal((await host.apply(threeLans)).changes, 0);
    }
    assert.deepEqual(host.changes(before), []);
    // Two lists, and the five images.
    assert.equal(host.engine.requestCount - calls, 3 * 7);
    await host.assertApplied(threeLans);
  }));

Deno.test("Applier.apply() mends what is broken, and that alone", () =>
  withHost(async (host) => {
    await host.apply(threeLans);
    lose(host, "decky-003-smb");
    const before = host.engine.changes.length;
    assert.equal((await host.apply(threeLans)).changes, 1);
    assert.deepEqual(host.changes(before), [
      "POST /containers/create",
      "POST /containers/{id}/start",
    ]);
    await host.assertApplied(threeLans);
  }));

Deno.test("Applier.teardown() removes services, then bases, then networks, backwards", () =>
  withHost(async (host) => {
    await host.apply(threeLans);
    const { engine } = host;
    const names = new Map([
      ...engine.containers.map((it): [string, string] => [it.Id, it.Names[0]!.slice(1)]),
      ...engine.networks.map((it): [string, string] => [it.Id, it.Name]),
    ]);
    const before = engine.changes.length;
    assert.equal((await host.teardown(id)).changes, 12);
    const order = engine.changes.slice(before).map(({ path }) =>
      names.get(path.match(/[0-9a-f]{64}/)![0])!.replace(prefix, "")
    );
    assert.deepEqual(order.slice(0, 5).sort(), [
      "decky-001-ssh",
      "decky-002-http",
      "decky-003-mysql",
      "decky-003-smb",
      "decky-004-http",
    ]);
    const bases = ["decky-001", "decky-002", "decky-003", "decky-004"];
    assert.deepEqual(order.slice(5, 9).sort(), bases);
    assert.deepEqual(order.slice(9), ["lan-02", "lan-01", "lan-00"]);
    host.assertNothingLeft();
    assert.equal((await host.teardown(id)).changes, 0);
  }));

Deno.test("Applier.teardown() of a topology that is not stored goes by its label", () =>
  withHost(async (host) => {
    await host.apply(oneLan);
    const { engine } = host;
    const addresses = { "some-lan": "10.6.0.2" };
    const lan = network({ name: "some-lan", subnet: "10.6.0.0/24", labels });
    engine.networks = [...engine.networks, lan];
    engine.containers = [
      ...engine.containers,
      container({ name: "some-decky", labels, addresses }),
    ];
    assert.equal((await host.teardown(id)).changes, 2);
    await host.assertApplied(oneLan);
    assert.equal((await host.teardown("nothing of that id")).changes, 0);
    await host.teardown(oneLan.plan.topologyId);
    host.assertNothingLeft();
  }));

Deno.test("Applier.apply() takes the old topology down before it makes the new one", () =>
  withHost(async (host) => {
    // The same subnet and the same names: one has to go before the other can come.
    const candidate = await candidateOf(
      textOf("topology-one-lan.json").replaceAll("4444-555555555555", "4444-666666666666"),
    );
    await host.apply(oneLan);
    const before = host.engine.changes.length;
    assert.equal((await host.apply(candidate, { supersede: true })).changes, 6);
    assert.deepEqual(
      host.changes(before).map((call) => call.split(" ")[0]),
      [...Array(3).fill("DELETE"), ...Array(5).fill("POST")],
    );
    await host.assertApplied(candidate);
    await host.teardown(candidate.plan.topologyId);
    host.assertNothingLeft();
  }));

Deno.test("Applier.teardown() takes what bears a planned name for its own, once that was applied", () =>
  withHost(async (host) => {
    const { engine } = host;
    const orphan = `/${prefix}decky-001-ssh`;
    const isOrphanLeft = () => engine.containers.some(({ Names }) => Names.includes(orphan));
    // As another program made it; and with its base it has lost what tells whose it is.
    const loseAll = async () => {
      await host.apply(threeLans);
      lose(host, "decky-001");
      engine.containers = engine.containers.map((it) =>
        it.Names.includes(orphan) ? { ...it, Labels: {} } : it
      );
    };
    await loseAll();
    await host.teardown(id);
    host.assertNothingLeft();

    await loseAll();
    runSql(host.storePath, "UPDATE applied_topology SET applied_version_hash = ''");
    await host.teardown(id);
    assert.ok(isOrphanLeft());
    assert.equal(host.row(), null);
  }));
