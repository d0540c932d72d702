import assert from "node:assert/strict";
import Docker from "dockerode";
import { FakeEngine, listenWithoutAccepting } from "./fake_engine.ts";
import type { Fault } from "./faults.ts";
import { call, containers, exchange, names, networks, withEngine, withSnapshot } from "./script.ts";
import { container, network, overlap, readAddress, readSubnet, showAddress } from "./state.ts";

Deno.test("FakeEngine lists networks and containers to dockerode", () =>
  withSnapshot(async (engine) => {
    const docker = new Docker({ socketPath: engine.socketPath });
    assert.deepEqual(await docker.listNetworks(), networks);
    assert.deepEqual(await docker.listContainers({ all: true }), containers);
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
  withSnapshot(async (engine) => {
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
      ["/v1.41/networks", { name: [] }, networks.map((item) => item.Name)],
      ["/v1.44/networks", {}, [
        "client version 1.44 is too new. Maximum supported API version is 1.41",
      ]],
    ];
    for (const [path, filters, expected] of cases) {
      assert.deepEqual(await names(engine, path, filters), expected, JSON.stringify(filters));
    }
  }));

Deno.test("FakeEngine answers pipelined requests in order", () =>
  withSnapshot(async (engine) => {
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
  withSnapshot(async (engine) => {
    assert.match((await exchange(engine, ["/containers/json?all=1"])).text, /chunked\r\n/);
    engine.containers = [];
    const { text } = await exchange(engine, ["/containers/json?all=1"]);
    assert.match(text, /Content-Length: 3\r\n[^]*\r\n\r\n\[\]\n$/);
  }));

Deno.test("FakeEngine lists what was assigned last", () =>
  withSnapshot(async (engine) => {
    await names(engine, "/networks");
    engine.networks = [network({ name: "new" })];
    assert.deepEqual(await names(engine, "/networks"), ["new"]);
  }));

Deno.test("FakeEngine.stop() ends what hangs and frees the path for a new start", () =>
  withSnapshot(async (engine) => {
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

const faults: [Fault, "closed" | "reset" | "silent", RegExp][] = [
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
for (const [fault, expectedEnd, expectedText] of faults) {
  const { kind, ...rest } = fault;
  Deno.test(`FakeEngine goes wrong: ${kind} ${JSON.stringify(rest)}`, () =>
    withSnapshot(async (engine) => {
      engine.fault = fault;
      const { end, text } = await exchange(
        engine,
        ["/networks"],
        expectedEnd === "silent" ? 500 : 5000,
      );
      assert.equal(end, expectedEnd);
      assert.match(text, expectedText);
    }));
}

Deno.test("FakeEngine streams a huge list", () =>
  withSnapshot(async (engine) => {
    engine.fault = { kind: "huge", bytes: 1_000_000 };
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path: engine.socketPath } });
    const text = await (await fetch("http://localhost/networks", { client })).text();
    assert.equal(text.length, 1_000_000);
    assert.ok(JSON.parse(text).length > 500);
  }));

Deno.test("FakeEngine goes wrong at the path and the call it was told", () =>
  withSnapshot(async (engine) => {
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

const create = { method: "POST", path: "/networks/create", body: { Name: "lan" } };
const remove = { method: "DELETE", path: "/networks/lan", body: undefined };

/** The status of a call's answer, or `lost`. */
async function statusOf(engine: FakeEngine, step: typeof create | typeof remove) {
  const { method, path, body } = step;
  try {
    return (await call(engine.socketPath, method, path, body)).status;
  } catch {
    return "lost";
  }
}

const cases: [Fault, number | "lost"][] = [
  [{ kind: "reset" }, "lost"],
  [{ kind: "truncated" }, "lost"],
  [{ kind: "status", status: 500, message: "no" }, 500],
];
for (const [fault, expected] of cases) {
  for (const effect of [undefined, "before", "after"] as const) {
    Deno.test(`FakeEngine lets a change go wrong: ${fault.kind}, effect ${effect}`, () =>
      withEngine(async (engine) => {
        const kind: Fault = { ...fault, once: true, ...(effect ? { effect } : {}) };
        engine.fault = { ...kind, method: "POST" };
        assert.equal(await statusOf(engine, create), expected);
        assert.equal(engine.networks.length, effect === "after" ? 1 : 0);
        assert.equal(engine.fault, undefined);
        await statusOf(engine, create);

        engine.fault = { ...kind, method: "DELETE" };
        const count = engine.networks.length;
        const removed = await statusOf(engine, { ...remove, path: ref(engine) });
        assert.equal(removed, expected);
        assert.equal(engine.networks.length, effect === "after" ? count - 1 : count);
      }));
  }
}

function ref(engine: FakeEngine): string {
  return `/networks/${engine.networks[0]!.Id}`;
}

Deno.test("FakeEngine resets the connection after a change, in the middle of nothing", () =>
  withEngine(async (engine) => {
    for (
      const [request, count] of [
        [
          'POST /networks/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"Name":"lan"}',
          1,
        ],
        ["DELETE /networks/lan HTTP/1.1\r\nHost: x\r\n\r\n", 0],
      ] as const
    ) {
      engine.fault = { kind: "reset", effect: "after", once: true };
      using connection = await Deno.connect({ transport: "unix", path: engine.socketPath });
      await connection.write(new TextEncoder().encode(request));
      await assert.rejects(async () => {
        while (await connection.read(new Uint8Array(100)) !== null) { /* up to the reset */ }
      }, Deno.errors.ConnectionReset);
      assert.equal(engine.networks.length, count);
    }
  }));

Deno.test("FakeEngine goes wrong once, with the method and the call it was told", () =>
  withEngine(async (engine) => {
    const refusal = { kind: "status", status: 503, message: "busy" } as const;
    engine.fault = {
      ...refusal,
      method: "DELETE",
      path: "/networks",
      afterRequests: 1,
      once: true,
    };
    assert.equal(await statusOf(engine, create), 201);
    assert.deepEqual(await names(engine, "/networks"), ["lan"]);
    assert.equal(await statusOf(engine, { ...remove, path: "/networks/x" }), 404);
    assert.equal(await statusOf(engine, { ...remove, path: "/v1.41/networks/lan" }), 503);
    assert.equal(await statusOf(engine, remove), 204);
  }));

Deno.test("FakeEngine makes the change of an answer that trickles", () =>
  withEngine(async (engine) => {
    engine.fault = { kind: "slow", bytesPerSecond: 100_000 };
    assert.equal(await statusOf(engine, create), 201);
    assert.equal(engine.networks.length, 1);
  }));

Deno.test("FakeEngine finds images by tag, by id and by the beginning of an id", () =>
  withEngine(async (engine) => {
    engine.images = ["base", "decnet/ssh:1"];
    const id = engine.images.idOf("base:latest")!;
    const cases: [string, string[] | string][] = [
      ["base", ["base:latest"]],
      ["base:latest", ["base:latest"]],
      ["docker.io%2Flibrary%2Fbase", ["base:latest"]],
      ["decnet/ssh:1", ["decnet/ssh:1"]],
      ["decnet%2Fssh:1", ["decnet/ssh:1"]],
      [id, ["base:latest"]],
      [id.slice(7, 19), ["base:latest"]],
      ["decnet/ssh", "no such image: decnet/ssh: No such image: decnet/ssh:latest"],
      ["base:2", "no such image: base:2: No such image: base:2"],
      ["Base", "no such image: Base: invalid reference format: repository name must be lowercase"],
    ];
    for (const [name, expected] of cases) {
      const { status, body } = await call(engine.socketPath, "GET", `/images/${name}/json`);
      assert.deepEqual(status === 200 ? body?.RepoTags : body?.message, expected, name);
    }
  }));

Deno.test("Images.rebuild() puts another image under a tag", () =>
  withEngine(async (engine) => {
    const item = container({ name: "web", image: "base:1" });
    engine.containers = [item];
    engine.images = ["base:1", "other"];
    const look = async () => {
      const { body } = await call(engine.socketPath, "GET", "/images/base:1/json");
      const list = await call(engine.socketPath, "GET", "/containers/json");
      return [body?.Id, (list.body as unknown as typeof item[])[0]!.Image];
    };
    assert.deepEqual(await look(), [item.ImageID, "base:1"]);
    const id = engine.images.rebuild("base:1");
    assert.match(id, /^sha256:[0-9a-f]{64}$/);
    assert.deepEqual(await look(), [id, item.ImageID]);
    engine.images.delete("base:1");
    assert.deepEqual(await look(), [undefined, item.ImageID]);
    assert.deepEqual([...engine.images], ["other:latest"]);
  }));

Deno.test("readSubnet() reads what the engine takes for a subnet", () => {
  const cases: [string, string | undefined][] = [
    ["10.0.0.0/24", "10.0.0.0-10.0.0.255"],
    ["10.0.0.77/30", "10.0.0.76-10.0.0.79"],
    ["0.0.0.0/0", "0.0.0.0-255.255.255.255"],
    ["255.255.255.255/32", "255.255.255.255-255.255.255.255"],
    ["10.0.0.0/33", undefined],
    ["10.0.0/24", undefined],
    ["10.0.0.256/24", undefined],
    ["10.0.0.0", undefined],
    ["", undefined],
  ];
  for (const [text, expected] of cases) {
    const subnet = readSubnet(text);
    const range = subnet && `${showAddress(subnet.first)}-${showAddress(subnet.last)}`;
    assert.equal(range, expected, text);
  }
  assert.equal(readAddress("1.2.3.04"), undefined);
});

Deno.test("overlap() sees whether two subnets share an address", () => {
  const read = (text: string) => readSubnet(text)!;
  assert.ok(overlap(read("10.0.0.0/24"), read("10.0.0.128/25")));
  assert.ok(overlap(read("10.0.0.128/25"), read("10.0.0.0/24")));
  assert.ok(!overlap(read("10.0.0.0/25"), read("10.0.0.128/25")));
});
