import assert from "node:assert/strict";
import Docker from "dockerode";
import {
  container,
  FakeEngine,
  type Fault,
  listenWithoutAccepting,
  network,
} from "./fake_engine.ts";

const LABELS = { "decnet.topology.id": "t1" };
const NETWORKS = [
  network({ name: "bridge", subnet: "172.17.0.0/16" }),
  network({ name: "decnet_t_1_lan", subnet: "10.0.0.0/24", labels: LABELS, internal: true }),
  network({ name: "other", driver: "macvlan" }),
];
const CONTAINERS = [
  container({
    name: "decnet_t_1_web",
    labels: LABELS,
    health: "unhealthy",
    addresses: { decnet_t_1_lan: "10.0.0.5" },
  }),
  container({ name: "decnet_t_1_web-http", networkMode: "container:decnet_t_1_web" }),
  container({ name: "gone", state: "exited" }),
  container({ name: "waits", state: "paused" }),
];

/** Runs a test against an engine in a directory of its own. */
async function withEngine(test: (engine: FakeEngine) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await using engine = await FakeEngine.start(`${directory}/docker.sock`);
    engine.networks = NETWORKS;
    engine.containers = CONTAINERS;
    await test(engine);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Sends GETs in one write and reads until the engine closes or the time is up. */
async function exchange(engine: FakeEngine, targets: string[], waitMs = 200) {
  using connection = await Deno.connect({ transport: "unix", path: engine.socketPath });
  const requests = targets.map((target, i) => {
    const last = i === targets.length - 1 ? "Connection: close\r\n" : "";
    return `GET ${target} HTTP/1.1\r\nHost: docker\r\n${last}\r\n`;
  });
  await connection.write(new TextEncoder().encode(requests.join("")));
  const bytes: number[] = [];
  let end: "closed" | "reset" | "silent" = "closed";
  const timer = setTimeout(() => {
    end = "silent";
    connection.close();
  }, waitMs);
  try {
    for await (const part of chunksOf(connection)) bytes.push(...part);
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionReset) end = "reset";
    else assert.equal(end, "silent", String(error));
  }
  clearTimeout(timer);
  return { end, text: new TextDecoder("latin1").decode(Uint8Array.from(bytes)) };
}

async function* chunksOf(connection: Deno.Conn): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const length = await connection.read(buffer);
    if (length === null) return;
    yield buffer.slice(0, length);
  }
}

/** The names that a list call answers with. */
async function names(engine: FakeEngine, path: string, filters?: unknown): Promise<string[]> {
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: engine.socketPath } });
  const query = filters ? `filters=${encodeURIComponent(JSON.stringify(filters))}` : "";
  const url = `http://localhost${path}${path.includes("?") ? "&" : "?"}${query}`;
  const response = await fetch(url, { client });
  const items = await response.json();
  if (!response.ok) return [items.message];
  return items.map((item: { Name?: string; Names?: string[] }) => item.Name ?? item.Names?.[0]);
}

Deno.test("FakeEngine lists networks and containers to dockerode", () =>
  withEngine(async (engine) => {
    const docker = new Docker({ socketPath: engine.socketPath });
    assert.deepEqual(await docker.listNetworks(), NETWORKS);
    assert.deepEqual(await docker.listContainers({ all: true }), CONTAINERS);
    assert.equal((await docker.listContainers()).length, 3);
    assert.equal(
      (await docker.listContainers({ filters: { label: ["decnet.topology.id"] } })).length,
      1,
    );
    assert.equal((await docker.version()).ApiVersion, "1.41");
    assert.equal(String(await docker.ping()), "OK");
    await assert.rejects(docker.getContainer("x").inspect(), { statusCode: 404 });
    assert.equal(engine.requestCount, 7);
    assert.deepEqual(engine.requests[0], { method: "GET", path: "/networks" });
  }));

Deno.test("FakeEngine filters as the real engine does", () =>
  withEngine(async (engine) => {
    const cases: [string, unknown, string[]][] = [
      ["/networks", { name: ["decnet", "oth"] }, ["decnet_t_1_lan", "other"]],
      ["/networks", { name: { "^other$": true } }, ["other"]],
      ["/networks", { driver: ["bridge"] }, ["bridge", "decnet_t_1_lan"]],
      ["/networks", { driver: ["brid"] }, []],
      ["/networks", { label: ["decnet.topology.id=t1"] }, ["decnet_t_1_lan"]],
      ["/networks", { label: ["decnet.topology.id", "x"] }, []],
      ["/networks", { status: ["x"] }, ["Invalid filter 'status'"]],
      ["/containers/json", { name: ["/decnet_t_1_web$"] }, ["/decnet_t_1_web"]],
      ["/containers/json", { status: ["exited"] }, ["/gone"]],
      ["/containers/json", { status: ["bogus"] }, ["Invalid filter 'status=bogus'"]],
      ["/containers/json?all=True", { name: ["o", "wait"] }, ["/gone", "/waits"]],
      ["/containers/json?all=0", { name: ["gone"] }, []],
      ["/v1.41/networks", { name: [] }, NETWORKS.map((item) => item.Name)],
      ["/v1.44/networks", {}, [
        "client version 1.44 is too new. Maximum supported API version is 1.41",
      ]],
    ];
    for (const [path, filters, expected] of cases) {
      assert.deepEqual(await names(engine, path, filters), expected, JSON.stringify(filters));
    }
  }));

Deno.test("FakeEngine answers pipelined requests in order", () =>
  withEngine(async (engine) => {
    const { end, text } = await exchange(engine, [
      "/_ping",
      "/containers/json",
      "/nope",
      "/networks",
    ]);
    assert.equal(end, "closed");
    const order = ["\r\n\r\nOK", "decnet_t_1_web-http", "page not found", '"other"'];
    const found = order.map((part) => text.indexOf(part));
    assert.ok(found.every((at, i) => at > (found[i - 1] ?? 0)), String(found));
    assert.equal(engine.connectionCount, 1);
  }));

Deno.test("FakeEngine sends long bodies in chunks and short ones with their length", () =>
  withEngine(async (engine) => {
    assert.match((await exchange(engine, ["/containers/json?all=1"])).text, /chunked\r\n/);
    engine.containers = [];
    const { text } = await exchange(engine, ["/containers/json?all=1"]);
    assert.match(text, /Content-Length: 3\r\n[^]*\r\n\r\n\[\]\n$/);
  }));

Deno.test("FakeEngine lists what was assigned last", () =>
  withEngine(async (engine) => {
    await names(engine, "/networks");
    engine.networks = [network({ name: "new" })];
    assert.deepEqual(await names(engine, "/networks"), ["new"]);
  }));

const FAULTS: [Fault, "closed" | "reset" | "silent", RegExp][] = [
  [{ kind: "hang" }, "silent", /^$/],
  [
    { kind: "hang-body" },
    "silent",
    /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n[^]*"Name":"bridge"[^]*[^\n]$/,
  ],
  [{ kind: "reset" }, "reset", /^HTTP\/1\.1 200 OK\r\nApi-Ver$/],
  [{ kind: "garbage" }, "silent", /^(?!HTTP)[^]{512}$/],
  [{ kind: "truncated" }, "closed", /Content-Length: [^]*\]\n$/],
  [{ kind: "truncated", chunked: true }, "closed", /chunked[^]*\]\n$/],
  [
    { kind: "status", status: 500, message: "no" },
    "closed",
    /^HTTP\/1\.1 500 [^]*\{"message":"no"\}\n$/,
  ],
  [{ kind: "body", body: "7" }, "closed", /^HTTP\/1\.1 200 OK[^]*\r\n\r\n7$/],
  [{ kind: "slow", bytesPerSecond: 100 }, "silent", /^HTTP[^]{1,60}$/],
];
for (const [fault, expectedEnd, expectedText] of FAULTS) {
  const { kind, ...rest } = fault;
  Deno.test(`FakeEngine goes wrong: ${kind} ${JSON.stringify(rest)}`, () =>
    withEngine(async (engine) => {
      engine.fault = fault;
      const { end, text } = await exchange(engine, ["/networks"]);
      assert.equal(end, expectedEnd);
      assert.match(text, expectedText);
    }));
}

Deno.test("FakeEngine streams a huge list", () =>
  withEngine(async (engine) => {
    engine.fault = { kind: "huge", bytes: 1_000_000 };
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path: engine.socketPath } });
    const text = await (await fetch("http://localhost/networks", { client })).text();
    assert.equal(text.length, 1_000_000);
    assert.ok(JSON.parse(text).length > 500);
  }));

Deno.test("FakeEngine goes wrong at the path and the call it was told", () =>
  withEngine(async (engine) => {
    engine.fault = {
      kind: "status",
      status: 404,
      message: "lost",
      path: "/networks",
      afterRequests: 1,
    };
    assert.equal((await names(engine, "/networks")).length, 3);
    assert.equal((await names(engine, "/containers/json")).length, 3);
    assert.deepEqual(await names(engine, "/v1.41/networks"), ["lost"]);
    engine.fault = undefined;
    assert.equal((await names(engine, "/networks")).length, 3);
  }));

Deno.test("FakeEngine.stop() ends what hangs and frees the path for a new start", () =>
  withEngine(async (engine) => {
    engine.fault = { kind: "hang" };
    const hanging = exchange(engine, ["/networks"], 5000);
    while (engine.requestCount === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await engine.stop();
    assert.equal((await hanging).text, "");
    await assert.rejects(Deno.stat(engine.socketPath), Deno.errors.NotFound);
    await using second = await FakeEngine.start(engine.socketPath);
    assert.deepEqual(await names(second, "/networks"), []);
  }));

Deno.test("listenWithoutAccepting() lets clients write and wait", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/docker.sock`;
    using _listener = listenWithoutAccepting(path);
    using connection = await Deno.connect({ transport: "unix", path });
    await connection.write(new TextEncoder().encode("GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n"));
    const waited = new Promise((resolve) => setTimeout(resolve, 100, "nothing"));
    const read = connection.read(new Uint8Array(1)).catch(() => null);
    assert.equal(await Promise.race([read, waited]), "nothing");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
