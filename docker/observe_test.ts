import assert from "node:assert/strict";
import { randomNumbers, scriptSocket } from "../tests/support/answer_streams.ts";
import { assertHealthy, failure, look, snapshot } from "../tests/support/docker_faults.ts";
import { FakeEngine, listenWithoutAccepting } from "../tests/support/engine/fake_engine.ts";
import type { Fault } from "../tests/support/engine/faults.ts";
import { withEngine } from "../tests/support/engine/client.ts";
import { container, network } from "../tests/support/engine/state.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { requirement } from "../tests/support/requirements.ts";
import type { ContainerInfo } from "../topology/inventory.ts";
import { Engine } from "./engine.ts";
import { findSocket, observe, type ObserveOptions, selectManaged, socketPath } from "./observe.ts";

Deno.test("socketPath() takes the address of a local socket only", () => {
  const cases: [address: string, path: string | null][] = [
    ["unix:///var/run/docker.sock", "/var/run/docker.sock"],
    ["unix:///run/user/1000/podman/podman.sock", "/run/user/1000/podman/podman.sock"],
    ["unix:///with space/ü.sock", "/with space/ü.sock"],
    ["unix:///%2Fnot-decoded", "/%2Fnot-decoded"],
    [`unix:///${"ü".repeat(53)}`, `/${"ü".repeat(53)}`],
    [`unix:///${"ü".repeat(53)}x`, null],
    ["unix:///", null],
    ["unix://relative.sock", null],
    ["unix:/one-slash.sock", null],
    ["UNIX:///upper.sock", null],
    ["unix:///nul\0.sock", null],
    ["/var/run/docker.sock", null],
    ["tcp://127.0.0.1:2375", null],
    ["ssh://host", null],
    ["npipe:////./pipe/docker_engine", null],
    ["fd://", null],
    ["", null],
  ];
  for (const [address, path] of cases) assert.equal(socketPath(address), path, address);
});

Deno.test("findSocket() returns the first path that exists", async () => {
  using folder = new TemporaryFolder();
  const at = (name: string) => `${folder.path}/${name}`;
  for (const name of ["first", "second"]) await Deno.writeTextFile(at(name), "");
  assert.equal(findSocket([at("missing"), at("first"), at("second")]), at("first"));
  assert.equal(findSocket([at("second"), at("first")]), at("second"));
  await Deno.symlink(at("missing"), at("dangling"));
  assert.equal(findSocket([at("dangling"), at("missing/below"), at("second")]), at("second"));
});

Deno.test("findSocket() returns the only path without a check", () => {
  assert.equal(findSocket(["/nowhere/docker.sock"]), "/nowhere/docker.sock");
});

Deno.test("findSocket() names every path when none exists", () => {
  assert.throws(
    () => findSocket(["/nowhere/a.sock", "/nowhere/b.sock"]),
    /^Error: Cannot find Docker: none of \/nowhere\/a\.sock, \/nowhere\/b\.sock exists; start the engine, or set docker-host$/,
  );
});

const label = { "decnet.topology.id": "t1" };
const prefixes = {
  networkPrefixes: ["decnet-topology-", "decnet_t_"],
  containerPrefixes: ["decnet-", "decnet_t_"],
};

function observeEngine({ socketPath: socket }: FakeEngine, options: Partial<ObserveOptions> = {}) {
  return observe(new AbortController().signal, { socket, ...prefixes, ...options });
}

Deno.test("observe() returns empty lists and the version of an idle engine", () =>
  withEngine(async (engine) => {
    const { engine: { latencyMs, ...version }, ...observation } = await observeEngine(engine);
    assert.deepEqual(observation, {
      bridges: [],
      containers: [],
      inventory: { networks: [], containers: [] },
    });
    assert.deepEqual(version, { version: "20.10.24", apiVersion: "1.41" });
    assert.ok(latencyMs > 0 && latencyMs < 5000, `${latencyMs}`);
  }));

Deno.test("observe() makes its requests on one connection, and closes it", () =>
  withEngine(async (engine) => {
    for (const count of [1, 2, 3]) {
      await observeEngine(engine);
      assert.equal(engine.connectionCount, count);
      assert.equal(engine.requestCount, 3 * count);
    }
  }));

Deno.test("observe() decides by the start of a name and by the label, exactly", () =>
  withEngine(async (engine) => {
    const ours = ["decnet_t_", "decnet_t_1_lan", "decnet-topology-x"];
    const foreign = [
      ..."decnet decnet_t xdecnet_t_1 my-decnet_t_1_lan DECNET_t_1 bridge".split(" "),
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
    const { bridges, containers, inventory } = await observeEngine(engine);
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
    const chosen = await observeEngine(engine, {
      networkPrefixes: ["a", "b"],
      containerPrefixes: ["c"],
    });
    assert.deepEqual([chosen.bridges, chosen.containers], [["a1", "b1"], ["c1"]]);
    const none = await observeEngine(engine, { networkPrefixes: [], containerPrefixes: [] });
    assert.deepEqual([none.bridges, none.containers], [[], []]);
  }));

Deno.test("observe() sorts by code point and names nothing twice", () =>
  withEngine(async (engine) => {
    const names = ["a-10", "a-2", "a_1", "aB", "ab", "a.b", "a\uFFFD", "a\u{10000}", "aä", "a-2"];
    engine.networks = names.map((name) => network({ name }));
    engine.containers = ["a-10", "a-2", "aZ", "a_1"].map((name) => container({ name }));
    const { bridges, containers } = await observeEngine(engine, {
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

Deno.test("observe() has only bridges, and labelled networks, as bridges", () =>
  withEngine(async (engine) => {
    engine.networks = ["macvlan", "overlay", "null"].flatMap((driver) => [
      network({ name: `decnet_t_${driver}`, driver }),
      network({ name: `labelled-${driver}`, driver, labels: label }),
    ]);
    const { bridges, inventory } = await observeEngine(engine);
    assert.deepEqual(bridges, ["labelled-macvlan", "labelled-null", "labelled-overlay"]);
    assert.equal(inventory.networks.length, 6);
  }));

Deno.test("observe() counts running, paused and restarting containers as running", () =>
  withEngine(async (engine) => {
    const states = [
      ...["created", "running", "paused", "restarting", "removing", "exited", "dead"] as const,
    ];
    engine.containers = states.map((state) => container({ name: `decnet-${state}`, state }));
    const { containers, inventory } = await observeEngine(engine);
    assert.deepEqual(containers, ["decnet-paused", "decnet-restarting", "decnet-running"]);
    assert.deepEqual(inventory.containers.map(({ state }) => state), states);
  }));

Deno.test("observe() returns what drift needs of each object", () =>
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
    const common = { state: "running", uptime: { atLeast: 120, atMost: 180 } };
    const labels = new Map(Object.entries(label));
    assert.deepEqual((await observeEngine(engine)).inventory, {
      networks: [{
        ...{ id: engine.networks[0]!.Id, name: "decnet_t_1_lan", driver: "bridge" },
        ...{ internal: true, subnets: ["10.0.0.0/24"], labels },
      }],
      containers: [{
        ...{ ...common, id: base.Id, name: "decnet_t_1_a", unhealthy: false, labels: new Map() },
        networkMode: "decnet_t_1_lan",
        addressByNetwork: new Map([["decnet_t_1_lan", "10.0.0.2"]]),
      }, {
        ...{ ...common, id: engine.containers[1]!.Id, name: "decnet_t_1_a-ssh", unhealthy: true },
        labels,
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
      await using _script = scriptSocket(socket, [{ text: answer.repeat(3) }]);
      const { engine } = await observe(new AbortController().signal, { socket, ...prefixes });
      assert.deepEqual([engine.version, engine.apiVersion], [version, apiVersion]);
    }));
}

Deno.test("observe() reads two thousand containers", () =>
  withEngine(async (engine) => {
    const names = Array.from({ length: 2000 }, (_, i) => `decnet-${String(i).padStart(4, "0")}`);
    engine.containers = names.map((name) => container({ name }));
    assert.deepEqual((await observeEngine(engine)).containers, names);
  }));

const never = new AbortController().signal;

Deno.test("observe() asks for what the prefixes and the label make ours", () =>
  withEngine(async (engine) => {
    const calls = async (containerPrefixes: string[]) => {
      const before = engine.requestCount;
      await observeEngine(engine, { containerPrefixes });
      return engine.requests.slice(before).map(({ method, path }) =>
        `${method} ${decodeURIComponent(path)}`
      );
    };
    const all = "GET /containers/json?all=1";
    const labelled = `${all}&filters={"label":["decnet.topology.id"]}`;
    assert.deepEqual(await calls(["decnet-", "decnet_t_"]), [
      "GET /networks",
      `${all}&filters={"name":["^/?(?:decnet\\\\-|decnet_t_)"]}`,
      labelled,
    ]);
    assert.deepEqual(await calls([]), ["GET /networks", labelled]);
  }));

Deno.test("observe() sees every container of ours, whatever its names and labels", () =>
  withEngine(async (engine) => {
    const numbers = randomNumbers(4);
    const random = (below: number) => Math.floor(numbers() * below);
    const pick = <T>(values: readonly T[]) => values[random(values.length)]!;
    const texts = ["decnet", "_t_", "-", ".", "x", "X", "dec", "net", "1", "a"];
    const text = () => Array.from({ length: 1 + random(4) }, () => pick(texts)).join("");
    const client = new Engine(engine.socketPath, never);
    for (let round = 0; round < 200; round++) {
      const containerPrefixes = Array.from({ length: random(4) }, () => `n${text()}`);
      engine.containers = Array.from({ length: 20 }, (_, index) => {
        const name = pick([text, () => pick([...containerPrefixes, "n"]) + text()])();
        const labels = pick([{}, {}, { "decnet.topology.id": pick(["", "t1"]) }, {
          "decnet.topology.ids": "t1",
        }]);
        const item = container({ name: `${name}${index}`, labels });
        const link = `/${pick([text(), ...containerPrefixes])}/alias`;
        const names = pick([item.Names, item.Names, [link, ...item.Names], [link], []]);
        return { ...item, Names: names };
      });
      const byId = ({ id: a }: ContainerInfo, { id: b }: ContainerInfo) => a < b ? -1 : 1;
      const ours = selectManaged(await client.list(), { ...prefixes, containerPrefixes });
      const { inventory } = await observeEngine(engine, { containerPrefixes });
      assert.deepEqual(inventory.containers.toSorted(byId), ours.containers.toSorted(byId));
    }
    client.close();
  }));

/** Faults that are seen only when the time is up, and those that are seen at once. */
const silent: Fault[] = [
  { kind: "hang" },
  { kind: "hang-body" },
  { kind: "slow", bytesPerSecond: 100 },
];
const notJson = /^GET \/\S+ was answered with invalid JSON; is this the engine/;
const answerCut = /^connection closed in the middle of an answer; the engine's log/;
const loud: [fault: Fault, message: RegExp][] = [
  [{ kind: "reset" }, /^connection (reset|closed)/],
  [{ kind: "garbage" }, /^the answer is not HTTP; is this the engine's socket\?$/],
  [{ kind: "truncated" }, answerCut],
  [{ kind: "truncated", chunked: true }, answerCut],
  [
    { kind: "status", status: 500, message: "layer does not exist" },
    /^GET \/(networks|containers\/json) was answered with 500 \(layer does not exist\)$/,
  ],
  [{ kind: "status", status: 404, message: "page not found" }, / 404 \(page not found\)$/],
  [{ kind: "status", status: 400, message: "client is too old" }, / 400 \(client is too old\)$/],
  [{ kind: "status", status: 503, message: " " }, / was answered with 503$/],
  [{ kind: "body", body: "" }, notJson],
  [{ kind: "body", body: "<html>" }, notJson],
  [{ kind: "body", body: "[{" }, notJson],
  [{ kind: "body", body: "null" }, /^(networks|containers): not a list$/],
  [{ kind: "body", body: '{"message":"no"}' }, /^(networks|containers): not a list$/],
  [{ kind: "body", body: '[{"Name":7}]' }, /^(network|container) 0: Id: not a string$/],
];

for (const path of ["/networks", "/containers/json"]) {
  for (const fault of silent) {
    Deno.test(`observe() gives up when ${path} goes wrong: ${show(fault)}`, () =>
      withEngine(async (engine) => {
        snapshot(engine);
        engine.fault = { ...fault, path };
        const message = await failure(engine.socketPath, { callTimeoutMs: 300 });
        assert.equal(message, "no answer within 0.3 s; if this continues, restart the engine");
        engine.fault = undefined;
        await assertHealthy(engine.socketPath);
      }));
  }

  Deno.test(`observe() fails at once when ${path} goes wrong`, () =>
    withEngine(async (engine) => {
      snapshot(engine);
      for (const [fault, expected] of loud) {
        engine.fault = { ...fault, path };
        assert.match(await failure(engine.socketPath), expected, show(fault));
        engine.fault = undefined;
        await assertHealthy(engine.socketPath);
      }
    }));

  Deno.test(`observe() refuses 50 MB of ${path}`, () =>
    withEngine(async (engine) => {
      snapshot(engine);
      engine.fault = { kind: "huge", bytes: 50_000_000, path };
      await assert.rejects(
        look(engine.socketPath, { callTimeoutMs: 60_000, timeoutMs: 60_000 }),
        /: the answer is larger than 32 MiB; remove unused containers$/,
      );
      engine.fault = undefined;
      await assertHealthy(engine.socketPath);
    }));

  Deno.test(`observe() keeps a long refusal of ${path} short`, () =>
    withEngine(async (engine) => {
      engine.fault = { kind: "status", status: 500, message: `x${"🙂".repeat(5000)}`, path };
      const message = await failure(engine.socketPath);
      assert.ok(message.length < 300 && message.isWellFormed(), message);
    }));
}

function show({ kind, ...rest }: Fault): string {
  return [kind, ...Object.values(rest)].join(" ").trim();
}

const isRoot = Deno.uid() === 0;
/** To root every file is open, unless it lacks these capabilities. */
const withoutOverride = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
const confinement = requirement("setpriv, as root", !isRoot || await succeeds(withoutOverride));

async function succeeds([command = "", ...args]: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args: [...args, "true"] }).output()).success;
  } catch {
    return false;
  }
}

/** What a script prints that runs as somebody to whom file permissions apply. */
async function runConfined(script: string): Promise<string> {
  const command = [...(isRoot ? withoutOverride : []), Deno.execPath(), "eval", "--quiet", script];
  const { success, stdout, stderr } = await new Deno.Command(command[0]!, {
    args: command.slice(1),
    env: { NO_COLOR: "1" },
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim();
}

/** Runs a test for which the process needs file permissions to apply. */
function testConfined(title: string, test: (folder: string) => Promise<void>): void {
  Deno.test({
    name: `${title}${confinement.suffix}`,
    ignore: confinement.ignore,
    async fn() {
      confinement.check();
      using folder = new TemporaryFolder();
      await test(folder.path);
    },
  });
}

testConfined("observe() says that a socket may not be used", async (folder) => {
  const socket = `${folder}/docker.sock`;
  using _listener = Deno.listen({ transport: "unix", path: socket });
  await Deno.chmod(socket, 0);
  const options = JSON.stringify({ socket, networkPrefixes: [], containerPrefixes: [] });
  const printed = await runConfined(`
    import { observe } from ${JSON.stringify(import.meta.resolve("./observe.ts"))};
    await observe(new AbortController().signal, ${options})
      .catch((error) => console.log(error.message));
  `);
  const reason = "permission denied; run as root, or as a member of the socket's group";
  assert.equal(printed, `Cannot observe Docker at ${socket}: ${reason}`);
});

testConfined("findSocket() accepts a path that it cannot see", async (folder) => {
  await Deno.mkdir(`${folder}/closed`, { mode: 0 });
  const paths = [`${folder}/missing`, `${folder}/closed/docker.sock`, folder];
  const printed = await runConfined(`
    import { findSocket } from ${JSON.stringify(import.meta.resolve("./observe.ts"))};
    console.log(findSocket(${JSON.stringify(paths)}));
  `);
  assert.equal(printed, paths[1]);
});

Deno.test("observe() reads an answer that trickles in within its time", () =>
  withEngine(async (engine) => {
    snapshot(engine);
    engine.fault = { kind: "slow", bytesPerSecond: 20_000 };
    await assertHealthy(engine.socketPath);
  }));

Deno.test("observe() gives each call its own time", () =>
  withEngine(async ({ socketPath }) => {
    const socket = `${socketPath}.scripted`;
    const answer = { afterMs: 300, text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]" };
    await using _script = scriptSocket(socket, [answer, answer, answer]);
    const { engine } = await look(socket, { callTimeoutMs: 700, timeoutMs: 60_000 });
    assert.ok(engine.latencyMs > 800, `${engine.latencyMs} ms`);
  }));

Deno.test("observe() ends when its whole time is up, whatever the call has left", () =>
  withEngine(async (engine) => {
    for (const path of ["/networks", "/containers/json"]) {
      engine.fault = { kind: "hang", path };
      const options = { callTimeoutMs: 60_000, timeoutMs: 300 };
      // In words that stay the same from beat to beat, for each new one is logged.
      assert.equal(
        await failure(engine.socketPath, options),
        "no answer within 0.3 s; if this continues, restart the engine",
      );
    }
  }));

Deno.test("observe() rejects at once when its signal is aborted", () =>
  withEngine(async (engine) => {
    snapshot(engine);
    for (const path of ["/networks", "/containers/json"]) {
      engine.fault = { kind: "hang", path };
      const stop = new AbortController();
      const failing = failure(engine.socketPath, { callTimeoutMs: 60_000 }, stop.signal);
      const before = engine.requestCount;
      while (engine.requestCount === before) await new Promise((resolve) => setTimeout(resolve, 5));
      stop.abort(new Error("told to stop"));
      assert.equal(await failing, "told to stop");
    }
    engine.fault = undefined;
    await assertHealthy(engine.socketPath);
  }));

Deno.test("observe() says that the time is up which its signal gives it", () =>
  withEngine(async (engine) => {
    engine.fault = { kind: "hang" };
    const options = { callTimeoutMs: 60_000 };
    const message = await failure(engine.socketPath, options, AbortSignal.timeout(100));
    assert.equal(message, "no answer in time; if this continues, restart the engine");
  }));

Deno.test("observe() rejects at once when its signal is aborted while it connects", () =>
  withEngine(async (engine) => {
    engine.fault = { kind: "hang" };
    const stop = new AbortController();
    const failing = failure(engine.socketPath, { callTimeoutMs: 60_000 }, stop.signal);
    stop.abort(new Error("told to stop"));
    assert.equal(await failing, "told to stop");
  }));

Deno.test("observe() does not even connect when its signal is aborted already", () =>
  withEngine(async (engine) => {
    const message = await failure(engine.socketPath, {}, AbortSignal.abort(new Error("too late")));
    assert.equal(message, "too late");
    await assert.rejects(look(engine.socketPath, {}, AbortSignal.abort()), {
      message: /aborted/,
    });
    assert.equal(engine.connectionCount, 0);
  }));

Deno.test("observe() says what is wrong with a path that no socket can have", () =>
  withEngine(async ({ socketPath }) => {
    const plainFile = `${socketPath}.txt`;
    await Deno.writeTextFile(plainFile, "");
    assert.match(await failure(`${socketPath}.missing/x`), /^no such file; is the engine inst/);
    assert.match(await failure(`${plainFile}/x`), /not a directory/i);
    assert.match(await failure(`/tmp/${"long".repeat(50)}`), /path must be shorter/);
  }));

Deno.test("observe() sees an engine go, come back, and hang in between", () =>
  withEngine(async (engine) => {
    const path = engine.socketPath;
    snapshot(engine);
    await assertHealthy(path);
    await engine.stop();
    assert.match(await failure(path), /no such file/);
    {
      using _listener = listenWithoutAccepting(path);
      assert.match(await failure(path, { callTimeoutMs: 300 }), /no answer/);
    }
    await using second = await FakeEngine.start(path);
    snapshot(second);
    await assertHealthy(path);
  }));
