import assert from "node:assert/strict";
import Docker from "dockerode";
import { containers, exchange, names, networks, withStock } from "./calls.ts";
import { FakeEngine, listenWithoutAccepting, network } from "./mod.ts";

Deno.test("FakeEngine lists networks and containers to dockerode", () =>
  withStock(async (engine) => {
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
  withStock(async (engine) => {
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
  withStock(async (engine) => {
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
  withStock(async (engine) => {
    assert.match((await exchange(engine, ["/containers/json?all=1"])).text, /chunked\r\n/);
    engine.containers = [];
    const { text } = await exchange(engine, ["/containers/json?all=1"]);
    assert.match(text, /Content-Length: 3\r\n[^]*\r\n\r\n\[\]\n$/);
  }));

Deno.test("FakeEngine lists what was assigned last", () =>
  withStock(async (engine) => {
    await names(engine, "/networks");
    engine.networks = [network({ name: "new" })];
    assert.deepEqual(await names(engine, "/networks"), ["new"]);
  }));

Deno.test("FakeEngine.stop() ends what hangs and frees the path for a new start", () =>
  withStock(async (engine) => {
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
