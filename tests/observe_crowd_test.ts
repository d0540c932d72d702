import assert from "node:assert/strict";
import { Crowd, observe } from "../docker/mod.ts";
import { callsForOurs } from "../docker/crowd.ts";
import { container, type ContainerItem, type FakeEngine, withEngine } from "./engine/mod.ts";
import { randomNumbers } from "./answer_streams.ts";

const label = "decnet.topology.id";
const prefixes = { networkPrefixes: ["decnet_t_"], containerPrefixes: ["decnet-", "decnet_t_"] };
const never = new AbortController().signal;
const networks = "GET /networks";
const few = "GET /containers/json?all=1&limit=500";
const all = "GET /containers/json?all=1";
const named = `${all}&filters={"name":["^/?(?:decnet\\\\-|decnet_t_)"]}`;
const labelled = `${all}&filters={"label":["${label}"]}`;

function crowdOf(count: number, name: (index: number) => string): ContainerItem[] {
  return Array.from({ length: count }, (_, index) => container({ name: name(index) }));
}

/** Observes, and answers what was asked meanwhile and which containers were seen. */
async function look(
  engine: FakeEngine,
  { crowd = new Crowd(), containerPrefixes = prefixes.containerPrefixes } = {},
): Promise<{ calls: string[]; names: string[] }> {
  const before = engine.requestCount;
  const options = { socket: engine.socketPath, ...prefixes, containerPrefixes, crowd };
  const { inventory } = await observe(never, options);
  const count = engine.requestCount - before;
  return {
    calls: engine.requests.slice(-count).map(({ method, path }) =>
      `${method} ${decodeURIComponent(path)}`
    ),
    names: inventory.containers.map(({ name }) => name).sort(),
  };
}

for (
  const [host, foreign, ours, calls] of [
    ["499 containers", 499, 0, [networks, few]],
    ["500 containers, most of them foreign", 490, 10, [networks, few, named, labelled]],
    ["1000 containers, most of them foreign", 990, 10, [networks, few, named, labelled]],
    ["1000 containers, half of them ours", 500, 500, [networks, few, named, labelled]],
    ["1000 containers, most of them ours", 490, 510, [networks, few, all]],
  ] as const
) {
  Deno.test(`observe() sees every one of ours among ${host}`, () =>
    withEngine(async (engine) => {
      const mixed = [
        ...crowdOf(ours, (index) => `decnet-${index}`),
        ...crowdOf(foreign, (index) => `shop-${index}`),
      ].map((item, index, { length }) => ({ item, place: index * 7919 % length }));
      engine.containers = mixed.sort((a, b) => a.place - b.place).map(({ item }) => item);
      const seen = await look(engine);
      assert.deepEqual(seen.calls, calls);
      assert.deepEqual(
        seen.names,
        crowdOf(ours, (index) => `decnet-${index}`)
          .map(({ Names }) => Names[0]!.slice(1)).sort(),
      );
    }));
}

Deno.test("observe() asks a crowded host for ours alone from the second time on, and looks afresh after 100", () =>
  withEngine(async (engine) => {
    engine.containers = [
      ...crowdOf(600, (index) => `shop-${index}`),
      container({ name: "decnet-1" }),
      container({ name: "one-of-ours", labels: { [label]: "t1" } }),
    ];
    const crowd = new Crowd();
    const { names } = await look(engine, { crowd });
    assert.deepEqual(names, ["decnet-1", "one-of-ours"]);
    for (let count = 0; count < 100; count++) {
      assert.deepEqual(await look(engine, { crowd }), {
        calls: [networks, named, labelled],
        names,
      });
    }
    assert.deepEqual((await look(engine, { crowd })).calls, [networks, few, named, labelled]);
    engine.containers = [container({ name: "decnet-2" })];
    assert.deepEqual((await look(engine, { crowd })).names, ["decnet-2"]);
  }));

Deno.test("observe() asks for all where a prefix may be that of an id, as a nameless container has no other name", () =>
  withEngine(async (engine) => {
    const nameless = container({ name: "nameless", state: "dead" });
    const crowd = crowdOf(600, (index) => `shop-${index}`);
    engine.containers = [...crowd, { ...nameless, Names: [] }];
    const prefix = nameless.Id.slice(0, 4);
    const { calls, names } = await look(engine, { containerPrefixes: [prefix] });
    assert.deepEqual(calls, [networks, few, all]);
    assert.ok(names.includes(nameless.Id.slice(0, 12)));
  }));

Deno.test("observe() takes the list of an engine that knows no limit for all there is", () =>
  withEngine(async (engine) => {
    const items = [...crowdOf(500, (index) => `shop-${index}`), container({ name: "decnet-1" })];
    engine.fault = { kind: "body", path: "/containers/json", body: JSON.stringify(items) };
    assert.deepEqual(await look(engine), { calls: [networks, few], names: ["decnet-1"] });
  }));

Deno.test("observe() reports an engine that refuses the filters", () =>
  withEngine(async (engine) => {
    engine.containers = crowdOf(600, (index) => `shop-${index}`);
    const crowd = new Crowd();
    await look(engine, { crowd });
    engine.fault = { kind: "status", status: 400, message: "no", path: "/containers/json" };
    await assert.rejects(look(engine, { crowd }), /GET \/containers\/json was answered with 400/);
  }));

Deno.test("the filters let every container of ours through, whatever its names and labels", () =>
  withEngine(async (engine) => {
    const numbers = randomNumbers(4);
    const random = (below: number) => Math.floor(numbers() * below);
    const pick = <T>(values: readonly T[]) => values[random(values.length)]!;
    const texts = ["decnet", "_t_", "-", ".", "x", "X", "dec", "net", "1", "a"];
    const text = () => Array.from({ length: 1 + random(4) }, () => pick(texts)).join("");
    for (let round = 0; round < 200; round++) {
      const containerPrefixes = Array.from({ length: random(4) }, () => `n${text()}`);
      engine.containers = Array.from({ length: 20 }, (_, index) => {
        const name = pick([text, () => pick([...containerPrefixes, "n"]) + text()])();
        const labels = pick([{}, {}, { [label]: pick(["", "t1"]) }, { [`${label}s`]: "t1" }]);
        const item = container({ name: `${name}${index}`, labels });
        const link = `/${pick([text(), ...containerPrefixes])}/alias`;
        const names = pick([item.Names, item.Names, [link, ...item.Names], [link], []]);
        return { ...item, Names: names };
      });
      const crowd = new Crowd();
      const whole = await look(engine, { containerPrefixes });
      const calls = crowd.find({ areMostOurs: false, prefixes: containerPrefixes });
      assert.deepEqual(calls, callsForOurs(containerPrefixes));
      const filtered = await look(engine, { crowd, containerPrefixes });
      assert.equal(filtered.calls.length, 1 + calls.length);
      assert.deepEqual(filtered.names, whole.names, `round ${round}`);
    }
  }));
