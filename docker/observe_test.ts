import assert from "node:assert/strict";
import { scriptSocket } from "../tests/support/answer_streams.ts";
import { assertHealthy, failure, look, snapshot } from "../tests/support/docker_faults.ts";
import type { FakeEngine } from "../tests/support/engine/fake_engine.ts";
import { withEngine } from "../tests/support/engine/client.ts";
import { container, network } from "../tests/support/engine/state.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { SeededRandom } from "../tests/support/random.ts";
import { confined, confinement, outputOf } from "../tests/support/requirements.ts";
import type { ContainerInfo } from "../topology/inventory.ts";
import { Engine } from "./engine.ts";
import { findSocket, observe, type ObserveOptions, selectManaged, socketPath } from "./observe.ts";

Deno.test("socketPath() accepts only the address of a local socket", () => {
  const u53 = "ü".repeat(53);
  for (const path of ["/var/run/docker.sock", "/with space/ü.sock", "/%2Fnot-decoded", `/${u53}`]) {
    assert.equal(socketPath(`unix://${path}`), path);
  }
  const refused = ["unix:///", "unix://relative.sock", "unix:/one-slash.sock", "UNIX:///upper.sock"]
    .concat(`unix:///${u53}x`, "unix:///nul\0.sock", "/var/run/docker.sock", "tcp://127.0.0.1:2375")
    .concat("ssh://host", "npipe:////./pipe/docker_engine", "fd://", "");
  for (const address of refused) assert.equal(socketPath(address), null, address);
});

Deno.test("findSocket() returns the first path that exists", async () => {
  using folder = new TemporaryFolder();
  const at = (name: string) => `${folder.path}/${name}`;
  for (const name of ["first", "second"]) await Deno.writeTextFile(at(name), "");
  await Deno.symlink(at("missing"), at("dangling"));
  const cases: [paths: string[], found: string][] = [
    [["missing", "first", "second"], "first"],
    [["second", "first"], "second"],
    [["dangling", "missing/below", "second"], "second"],
    // The only path is not checked.
    [["missing"], "missing"],
  ];
  for (const [paths, found] of cases) assert.equal(findSocket(paths.map(at)), at(found));
  assert.throws(() => findSocket(["/nowhere/a.sock", "/nowhere/b.sock"]), {
    message: "Cannot find Docker: none of /nowhere/a.sock, /nowhere/b.sock exists; " +
      "start the engine, or set docker-host",
  });
});

const label = { "decnet.topology.id": "t1" };
const prefixes = {
  networkPrefixes: ["decnet-topology-", "decnet_t_"],
  containerPrefixes: ["decnet-", "decnet_t_"],
};

function observeEngine({ socketPath: socket }: FakeEngine, options: Partial<ObserveOptions> = {}) {
  return observe(new AbortController().signal, { socket, ...prefixes, ...options });
}

Deno.test("observe() makes its requests on one connection, and closes it", () =>
  withEngine(async (engine) => {
    for (const count of [1, 2, 3]) {
      await observeEngine(engine);
      assert.equal(engine.connectionCount, count);
      assert.equal(engine.requestCount, 3 * count);
    }
  }));

Deno.test("observe() selects by the start of a name and by the label, exactly", () =>
  withEngine(async (engine) => {
    const byLabel: [name: string, labels: Record<string, string>][] = [
      ["by-label", label],
      ["empty-label", { "decnet.topology.id": "" }],
      ["other-label", { "decnet.topology": "1", "xdecnet.topology.id": "1" }],
      ["label-as-value", { x: "decnet.topology.id" }],
      ["long-label", { "decnet.topology.id": "x".repeat(257) }],
    ];
    const managed = ["by-label", "decnet-topology-x", "decnet_t_", "decnet_t_1_lan", "empty-label"];
    const names = [
      ...managed.filter((name) => name.startsWith("decnet")),
      ..."decnet decnet_t xdecnet_t_1 my-decnet_t_1_lan DECNET_t_1 bridge".split(" "),
    ];
    engine.networks = [
      ...names.map((name) => network({ name })),
      ...byLabel.map(([name, labels]) => network({ name, labels })),
    ];
    engine.containers = [
      ...names.map((name) => container({ name })),
      ...byLabel.map(([name, labels]) => container({ name, labels })),
    ];
    const { bridges, containers, inventory } = await observeEngine(engine);
    assert.deepEqual([bridges, containers], [managed, managed]);
    for (const objects of [inventory.networks, inventory.containers]) {
      assert.deepEqual(objects.map(({ name }) => name).sort(), managed);
    }
  }));

Deno.test("observe() parses two equal lists of containers once", () =>
  withEngine(async (engine) => {
    engine.containers = [container({ name: "decnet-web", labels: label })];
    const parse = JSON.parse;
    const parsed: string[] = [];
    JSON.parse = (text) => (parsed.push(text), parse(text));
    try {
      const { containers } = await observeEngine(engine);
      assert.deepEqual(containers, ["decnet-web"]);
    } finally {
      JSON.parse = parse;
    }
    assert.equal(parsed.filter((text) => text.includes("decnet-web")).length, 1);
  }));

Deno.test("observe() sorts by code point and names nothing twice", () =>
  withEngine(async (engine) => {
    const sorted = ["a-10", "a-2", "a.b", "aB", "a_1", "ab", "aä", "a\uFFFD", "a\u{10000}"];
    engine.networks = [...sorted.toReversed(), "a-2"].map((name) => network({ name }));
    engine.containers = sorted.toReversed().map((name) => container({ name }));
    const options = { networkPrefixes: ["a"], containerPrefixes: ["a"] };
    const { bridges, containers } = await observeEngine(engine, options);
    assert.deepEqual([bridges, containers], [sorted, sorted]);
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

Deno.test("observe() reads the engine's versions from the headers", () =>
  withEngine(async ({ socketPath }) => {
    const cases: [headers: string, version: string | null, apiVersion: string | null][] = [
      ["Server: Docker/29.1.0 (linux)\r\nApi-Version: 1.52\r\n", "29.1.0", "1.52"],
      ["Api-Version: 1.41\r\nServer: Libpod/4.3.1 (linux)\r\n", "4.3.1", "1.41"],
      ["Server: nginx\r\n", null, null],
      ["", null, null],
    ];
    for (const [headers, version, apiVersion] of cases) {
      const socket = `${socketPath}.scripted`;
      const answer = `HTTP/1.1 200 OK\r\n${headers}Content-Length: 2\r\n\r\n[]`;
      await using _script = scriptSocket(socket, [{ text: answer.repeat(3) }]);
      const { engine } = await look(socket);
      assert.deepEqual([engine.version, engine.apiVersion], [version, apiVersion]);
    }
  }));

const never = new AbortController().signal;

Deno.test("observe() lists with filters for the prefixes and the label", () =>
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

Deno.test("observe() finds the same containers as selectManaged()", () =>
  withEngine(async (engine) => {
    const random = new SeededRandom(4);
    const pick = <T>(values: readonly T[]) => random.pick(values);
    const texts = ["decnet", "_t_", "-", ".", "x", "X", "dec", "net", "1", "a"];
    const text = () => Array.from({ length: 1 + random.below(4) }, () => pick(texts)).join("");
    const client = new Engine(engine.socketPath, never);
    for (let round = 0; round < 200; round++) {
      const containerPrefixes = Array.from({ length: random.below(4) }, () => `n${text()}`);
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
      // A check never asks for the images.
      const expected = ours.containers.map(({ imageLabels: _, ...it }): ContainerInfo => it);
      const { inventory } = await observeEngine(engine, { containerPrefixes });
      assert.deepEqual(inventory.containers.toSorted(byId), expected.toSorted(byId));
    }
    client.close();
  }));

// Faults of answers: errors_test.ts, http_test.ts, lists_test.ts; all with an agent: docker_faults_test.ts.
Deno.test("observe() fails when an answer is too slow, and recovers", () =>
  withEngine(async (engine) => {
    snapshot(engine);
    for (const path of ["/networks", "/containers/json"]) {
      engine.fault = { kind: "slow", bytesPerSecond: 100, path };
      const options = { callTimeoutMs: 300, timeoutMs: 60_000 };
      assert.match(await failure(engine.socketPath, options), /^no answer within 0\.3 s; /);
      engine.fault = undefined;
      await assertHealthy(engine.socketPath);
    }
    engine.fault = { kind: "slow", bytesPerSecond: 20_000 };
    await assertHealthy(engine.socketPath);
  }));

confinement.test("findSocket() and observe() say where permission is denied", async () => {
  using folder = new TemporaryFolder();
  const at = (name: string) => `${folder.path}/${name}`;
  await Deno.mkdir(at("closed"), { mode: 0 });
  await Deno.mkdir(at("folder"));
  const listeners = ["docker.sock", "own.sock", "silent.sock"].map((name) =>
    Deno.listen({ transport: "unix", path: at(name) })
  );
  await Deno.chmod(at("docker.sock"), 0o440);
  // To connect is to write.
  await Deno.chmod(at("own.sock"), 0o200);
  listeners.pop()!.close();
  const bind = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])";
  await outputOf(["python3", "-c", bind, at("silent.sock")]);
  const denied = ["docker.sock", "closed/docker.sock"];
  const cases: [paths: string[], found: string][] = [
    [["missing", ...denied, "own.sock"], "own.sock"],
    [["own.sock", "docker.sock"], "own.sock"],
    // A socket on which no engine listens is no reason to take the next.
    [["docker.sock", "silent.sock", "own.sock"], "silent.sock"],
    [["docker.sock", "folder", "own.sock"], "folder"],
    // The only path is not checked.
    [["docker.sock"], "docker.sock"],
  ];
  const failing = [...denied, "missing"].map(at);
  const options = { socket: at("docker.sock"), networkPrefixes: [], containerPrefixes: [] };
  const script = `
    import { findSocket, observe } from ${JSON.stringify(import.meta.resolve("./observe.ts"))};
    for (const paths of ${JSON.stringify(cases.map(([paths]) => paths.map(at)))}) {
      console.log(findSocket(paths));
    }
    try {
      console.log(findSocket(${JSON.stringify(failing)}));
    } catch (error) {
      console.log(error.message);
    }
    await observe(new AbortController().signal, ${JSON.stringify(options)})
      .catch((error) => console.log(error.message));
  `;
  const command = [...confined, Deno.execPath(), "eval", "--quiet", script];
  const printed = (await outputOf(command, { env: { NO_COLOR: "1" } })).trim();
  const message =
    `Cannot find Docker: permission denied for ${failing[0]}, ${failing[1]}; run as ` +
    `root, or as a member of the socket's group; no ${failing[2]}`;
  const reason = "permission denied; run as root, or as a member of the socket's group";
  assert.deepEqual(printed.split("\n"), [
    ...cases.map(([, found]) => at(found)),
    message,
    `Cannot observe Docker at ${options.socket}: ${reason}`,
  ]);
  for (const listener of listeners) listener.close();
});

Deno.test("observe() asks again where an answer ends the connection", () =>
  withEngine(async ({ socketPath }) => {
    const socket = `${socketPath}.scripted`;
    for (const head of ["HTTP/1.1 200 OK\r\nConnection: close", "HTTP/1.0 200 OK"]) {
      const answer = { text: `${head}\r\nContent-Length: 2\r\n\r\n[]` };
      await using _script = scriptSocket(socket, [answer]);
      assert.deepEqual((await look(socket, {})).containers, []);
    }
  }));

Deno.test("observe() rejects an answer without a list", () =>
  withEngine(async ({ socketPath }) => {
    const socket = `${socketPath}.scripted`;
    const empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    const list = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";
    for (const [text, call] of [[empty, "networks"], [list + empty, "containers/json"]]) {
      await using _script = scriptSocket(socket, [{ text: text + empty + empty }]);
      const message = await failure(socket);
      assert.ok(message.startsWith(`GET /${call} was answered with invalid JSON`), message);
    }
  }));

Deno.test("observe() has a timeout for each call", () =>
  withEngine(async ({ socketPath }) => {
    const socket = `${socketPath}.scripted`;
    const answer = { afterMs: 300, text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]" };
    await using _script = scriptSocket(socket, [answer, answer, answer]);
    const { engine } = await look(socket, { callTimeoutMs: 700, timeoutMs: 60_000 });
    assert.ok(engine.latencyMs > 800, `${engine.latencyMs} ms`);
  }));

Deno.test("observe() ends when its whole time or its signal's time is over", () =>
  withEngine(async (engine) => {
    // The message does not depend on the time left, as each new message is logged.
    const noAnswer = (time: string) => `no answer ${time}; if this continues, restart the engine`;
    for (const path of ["/networks", "/containers/json"]) {
      engine.fault = { kind: "hang", path };
      const options = { callTimeoutMs: 60_000, timeoutMs: 300 };
      assert.equal(await failure(engine.socketPath, options), noAnswer("within 0.3 s"));
    }
    const signal = AbortSignal.timeout(100);
    const message = await failure(engine.socketPath, { callTimeoutMs: 60_000 }, signal);
    assert.equal(message, noAnswer("in time"));
  }));

Deno.test("observe() rejects at once when its signal is aborted", () =>
  withEngine(async (engine) => {
    snapshot(engine);
    const observed = (signal: AbortSignal) =>
      failure(engine.socketPath, { callTimeoutMs: 60_000 }, signal);
    // Before it connects.
    assert.equal(await observed(AbortSignal.abort(new Error("too late"))), "too late");
    assert.match(await observed(AbortSignal.abort()), /aborted/);
    assert.equal(engine.connectionCount, 0);
    for (const path of ["/networks", "/containers/json"]) {
      engine.fault = { kind: "hang", path };
      for (const isConnected of [false, true]) {
        const stop = new AbortController();
        const before = engine.requestCount;
        const failing = observed(stop.signal);
        while (isConnected && engine.requestCount === before) {
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        stop.abort(new Error("told to stop"));
        assert.equal(await failing, "told to stop");
      }
    }
    engine.fault = undefined;
    await assertHealthy(engine.socketPath);
  }));

Deno.test("observe() explains a path that cannot be a socket", () =>
  withEngine(async ({ socketPath }) => {
    const plainFile = `${socketPath}.txt`;
    await Deno.writeTextFile(plainFile, "");
    assert.match(await failure(`${socketPath}.missing/x`), /^no such file; is the engine inst/);
    assert.match(await failure(`${plainFile}/x`), /not a directory/i);
    assert.match(await failure(`/tmp/${"long".repeat(50)}`), /path must be shorter/);
  }));
