import assert from "node:assert/strict";
import { TopologyStore } from "../../store/mod.ts";
import { defaultImages, parseJson, planTopology, readTopology } from "../../topology/mod.ts";
import { containerOf, networkOf } from "../engine/mod.ts";
import { execute, Host } from "./host.ts";

const count = 5_000;
const id = "7e57f00d-many";
const lan = (index: number) => index % 20;
const document = JSON.stringify({
  topology: { id, name: "many" },
  lans: Array.from({ length: 20 }, (_, index) => ({
    id: `lan-${index}`,
    name: `lan-${index}`,
    subnet: `10.${index}.0.0/16`,
    is_dmz: index === 0,
  })),
  deckies: Array.from({ length: count }, (_, index) => ({
    uuid: `decky-${index}`,
    name: `decky-${index}`,
    services: ["ssh"],
    decky_config: {
      name: `decky-${index}`,
      ips_by_lan: { [`lan-${lan(index)}`]: `10.${lan(index)}.${1 + (index >> 8)}.${index & 255}` },
    },
  })),
  edges: [],
});

Deno.test("decnet-agent --once is right about 10,000 containers, within 10 s", async () => {
  await using host = await Host.create();
  const engine = await host.startEngine();
  const plan = await planTopology(readTopology(parseJson(document)), defaultImages);
  engine.networks = plan.networks.map(networkOf);
  engine.containers = plan.containers.map(containerOf);
  const check = async () => {
    const ended = await execute(["--once", ...host.flags()]);
    assert.ok(ended.elapsedMs < 10_000, `${ended.elapsedMs} ms`);
    return [ended.code, ended.stdout.replace(/ docker=.*\n/, "")];
  };

  assert.deepEqual(await check(), [
    1,
    "DECNET WARNING - unexpected decnet_t_7e57f00d_decky-0 (running, of topology 7e57f00d-many), " +
    "decnet_t_7e57f00d_decky-0-ssh (running, of topology 7e57f00d-many), " +
    "decnet_t_7e57f00d_decky-1 (running, of topology 7e57f00d-many) and 10017 more " +
    "| networks=20 containers=10000 drift=10020",
  ]);
  const store = TopologyStore.open(host.storePath);
  store.put(id, "fa61", document);
  store.close();
  assert.deepEqual(await check(), [
    0,
    "DECNET OK - topology 7e57f00d-many at fa61, 20 networks and 10000 containers run, " +
    "no master configured | networks=20 containers=10000 drift=0",
  ]);
  const [first, ...others] = engine.containers;
  engine.containers = [...others, {
    ...first!,
    State: "exited",
    Status: "Exited (137) 1 second ago",
  }];
  assert.deepEqual(await check(), [
    1,
    "DECNET WARNING - stopped decnet_t_7e57f00d_decky-0 (exited) " +
    "| networks=20 containers=9999 drift=1",
  ]);
});
