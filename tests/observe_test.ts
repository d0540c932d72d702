import assert from "node:assert/strict";
import { observe, type ObserveOptions } from "../docker/mod.ts";
import { container, type FakeEngine, network, withEngine } from "./engine/mod.ts";
import { scriptSocket } from "./scripted_socket.ts";

const label = { "decnet.topology.id": "t1" };
const prefixes = {
  networkPrefixes: ["decnet-topology-", "decnet_t_"],
  containerPrefixes: ["decnet-", "decnet_t_"],
};

function look({ socketPath: socket }: FakeEngine, options: Partial<ObserveOptions> = {}) {
  return observe(new AbortController().signal, { socket, ...prefixes, ...options });
}

Deno.test("observe() tells an idle engine's empty lists and its version", () =>
  withEngine(async (engine) => {
    const { engine: { latencyMs, ...version }, ...observation } = await look(engine);
    assert.deepEqual(observation, {
      bridges: [],
      containers: [],
      inventory: { networks: [], containers: [] },
    });
    assert.deepEqual(version, { version: "20.10.24", apiVersion: "1.41" });
    assert.ok(latencyMs > 0 && latencyMs < 5000, `${latencyMs}`);
  }));

Deno.test("observe() makes two requests on one connection, and closes it", () =>
  withEngine(async (engine) => {
    for (const count of [1, 2, 3]) {
      await look(engine);
      assert.equal(engine.connectionCount, count);
      assert.deepEqual(engine.requests.slice(-2), [
        { method: "GET", path: "/networks" },
        { method: "GET", path: "/containers/json?all=1&limit=500" },
      ]);
      assert.equal(engine.requestCount, 2 * count);
    }
  }));

Deno.test("observe() decides by the start of a name and by the label, exactly", () =>
  withEngine(async (engine) => {
    const ours = ["decnet_t_", "decnet_t_1_lan", "decnet-topology-x"];
    const foreign = [
      "decnet",
      "decnet_t",
      "xdecnet_t_1",
      "my-decnet_t_1_lan",
      "DECNET_t_1",
      "bridge",
    ];
    engine.networks = [
      ...[...ours, ...foreign].map((name) => network({ name })),
      network({ name: "by label", labels: label }),
      network({ name: "empty label", labels: { "decnet.topology.id": "" } }),
      network({
        name: "other label",
        labels: { "decnet.topology": "1", "xdecnet.topology.id": "1" },
      }),
      network({ name: "label's value", labels: { x: "decnet.topology.id" } }),
    ];
    engine.containers = [
      ...["decnet-", "decnet-1", "decnet_t_1_web", "decnet", "web-decnet-1", "Decnet-1"].map((
        name,
      ) => container({ name })),
      container({ name: "by-label", labels: label }),
      container({ name: "other-label", labels: { "decnet.topology.decky": "1" } }),
    ];
    const { bridges, containers, inventory } = await look(engine);
    assert.deepEqual(bridges, [
      "by label",
      "decnet-topology-x",
      "decnet_t_",
      "decnet_t_1_lan",
      "empty label",
    ]);
    assert.deepEqual(containers, ["by-label", "decnet-", "decnet-1", "decnet_t_1_web"]);
    assert.deepEqual(inventory.networks.map(({ name }) => name).sort(), bridges);
    assert.deepEqual(inventory.containers.map(({ name }) => name).sort(), containers);
  }));

Deno.test("observe() takes the prefixes it is given", () =>
  withEngine(async (engine) => {
    engine.networks = ["a1", "b1", "c1"].map((name) => network({ name }));
    engine.containers = ["a1", "b1", "c1"].map((name) => container({ name }));
    const chosen = await look(engine, { networkPrefixes: ["a", "b"], containerPrefixes: ["c"] });
    assert.deepEqual([chosen.bridges, chosen.containers], [["a1", "b1"], ["c1"]]);
    const none = await look(engine, { networkPrefixes: [], containerPrefixes: [] });
    assert.deepEqual([none.bridges, none.containers], [[], []]);
  }));

Deno.test("observe() sorts by code point and names nothing twice", () =>
  withEngine(async (engine) => {
    const names = ["a-10", "a-2", "a_1", "aB", "ab", "a.b", "a\uFFFD", "a\u{10000}", "aä", "a-2"];
    engine.networks = names.map((name) => network({ name }));
    engine.containers = ["a-10", "a-2", "aZ", "a_1"].map((name) => container({ name }));
    const { bridges, containers } = await look(engine, {
      networkPrefixes: ["a"],
      containerPrefixes: ["a"],
    });
    assert.deepEqual(bridges, [
      "a-10",
      "a-2",
      "a.b",
      "aB",
      "a_1",
      "ab",
      "aä",
      "a\uFFFD",
      "a\u{10000}",
    ]);
    assert.deepEqual(containers, ["a-10", "a-2", "aZ", "a_1"]);
  }));

Deno.test("observe() leaves networks that are no bridges out of the bridges, unless labelled", () =>
  withEngine(async (engine) => {
    engine.networks = ["macvlan", "overlay", "null"].flatMap((driver) => [
      network({ name: `decnet_t_${driver}`, driver }),
      network({ name: `labelled-${driver}`, driver, labels: label }),
    ]);
    const { bridges, inventory } = await look(engine);
    assert.deepEqual(bridges, ["labelled-macvlan", "labelled-null", "labelled-overlay"]);
    assert.equal(inventory.networks.length, 6);
  }));

Deno.test("observe() counts running, paused and restarting containers as running", () =>
  withEngine(async (engine) => {
    const states = [
      "created",
      "running",
      "paused",
      "restarting",
      "removing",
      "exited",
      "dead",
    ] as const;
    engine.containers = states.map((state) => container({ name: `decnet-${state}`, state }));
    const { containers, inventory } = await look(engine);
    assert.deepEqual(containers, ["decnet-paused", "decnet-restarting", "decnet-running"]);
    assert.deepEqual(inventory.containers.map(({ state }) => state), states);
  }));

Deno.test("observe() tells what drift needs of each object", () =>
  withEngine(async (engine) => {
    engine.networks = [
      network({ name: "decnet_t_1_lan", subnet: "10.0.0.0/24", internal: true, labels: label }),
    ];
    const base = container({ name: "decnet_t_1_a", addresses: { decnet_t_1_lan: "10.0.0.2" } });
    engine.containers = [
      base,
      container({
        name: "decnet_t_1_a-ssh",
        networkMode: "container:decnet_t_1_a",
        health: "unhealthy",
        labels: label,
      }),
    ];
    assert.deepEqual((await look(engine)).inventory, {
      networks: [{
        id: engine.networks[0]!.Id,
        name: "decnet_t_1_lan",
        driver: "bridge",
        internal: true,
        subnets: ["10.0.0.0/24"],
        labels: new Map(Object.entries(label)),
      }],
      containers: [{
        id: base.Id,
        name: "decnet_t_1_a",
        state: "running",
        unhealthy: false,
        uptime: { atLeast: 120, atMost: 180 },
        labels: new Map(),
        networkMode: "decnet_t_1_lan",
        addressByNetwork: new Map([["decnet_t_1_lan", "10.0.0.2"]]),
      }, {
        id: engine.containers[1]!.Id,
        name: "decnet_t_1_a-ssh",
        state: "running",
        unhealthy: true,
        uptime: { atLeast: 120, atMost: 180 },
        labels: new Map(Object.entries(label)),
        networkMode: `container:${base.Id}`,
        addressByNetwork: new Map(),
      }],
    });
  }));

const versions: [headers: string, version: string | null, apiVersion: string | null][] = [
  ["Server: Docker/29.1.0 (linux)\r\nApi-Version: 1.52\r\n", "29.1.0", "1.52"],
  ["Api-Version: 1.41\r\nServer: Libpod/4.3.1 (linux)\r\n", "4.3.1", "1.41"],
  ["Server: nginx\r\n", null, null],
  ["", null, null],
];
for (const [headers, version, apiVersion] of versions) {
  Deno.test(`observe() reads version ${version}, API ${apiVersion}, from the headers`, () =>
    withEngine(async ({ socketPath }) => {
      const socket = `${socketPath}.scripted`;
      const answer = `HTTP/1.1 200 OK\r\n${headers}Content-Length: 2\r\n\r\n[]`;
      await using _script = scriptSocket(socket, [{ text: answer + answer }]);
      const { engine } = await observe(new AbortController().signal, { socket, ...prefixes });
      assert.deepEqual([engine.version, engine.apiVersion], [version, apiVersion]);
    }));
}

Deno.test("observe() reads two thousand containers", () =>
  withEngine(async (engine) => {
    const names = Array.from({ length: 2000 }, (_, i) => `decnet-${String(i).padStart(4, "0")}`);
    engine.containers = names.map((name) => container({ name }));
    assert.deepEqual((await look(engine)).containers, names);
  }));
