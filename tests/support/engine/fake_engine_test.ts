import assert from "node:assert/strict";
import Docker from "dockerode";
import { EventListener } from "../engine_client.ts";
import { TemporaryFolder, until } from "../environment.ts";
import { call, withEngine } from "./client.ts";
import { FakeEngine, listenWithoutAccepting } from "./fake_engine.ts";
import type { Fault } from "./faults.ts";
import { container, network } from "./state.ts";

const labels = { "decnet.topology.id": "t1" };
const addresses = { decnet_t_1_lan: "10.0.0.5" };
const networks = [
  network({ name: "bridge", subnet: "172.17.0.0/16" }),
  network({ name: "decnet_t_1_lan", subnet: "10.0.0.0/24", labels, internal: true }),
  network({ name: "other", driver: "macvlan" }),
];
const containers = [
  container({ name: "decnet_t_1_web", labels, health: "unhealthy", addresses }),
  container({ name: "decnet_t_1_web-http", networkMode: "container:decnet_t_1_web" }),
  container({ name: "gone", state: "exited" }),
  container({ name: "waits", state: "paused" }),
];

function withItems(test: (engine: FakeEngine) => Promise<void>): Promise<void> {
  return withEngine(async (engine) => {
    Object.assign(engine, { networks, containers });
    await test(engine);
  });
}

async function names({ socketPath }: FakeEngine, path: string, filters: object = {}) {
  const query = `filters=${encodeURIComponent(JSON.stringify(filters))}`;
  const answer = await call(socketPath, "GET", `${path}${path.includes("?") ? "&" : "?"}${query}`);
  if (answer.status !== 200) return [answer.body?.message];
  const items = answer.body as unknown as { Name?: string; Names?: string[] }[];
  return items.map(({ Name, Names }) => Name ?? Names![0]);
}

/** Sends GETs in one write and reads until the engine closes or the time is up. */
async function exchange({ socketPath }: FakeEngine, targets: string[], waitMs = 5000) {
  using connection = await Deno.connect({ transport: "unix", path: socketPath });
  const requests = targets.map((target, index) => {
    const last = index === targets.length - 1 ? "Connection: close\r\n" : "";
    return `GET ${target} HTTP/1.1\r\nHost: docker\r\n${last}\r\n`;
  });
  await connection.write(new TextEncoder().encode(requests.join("")));
  let [text, end] = ["", "closed"];
  const timer = setTimeout(() => {
    end = "silent";
    connection.close();
  }, waitMs);
  const buffer = new Uint8Array(65_536);
  try {
    for (let length; (length = await connection.read(buffer)) !== null;) {
      text += new TextDecoder("latin1").decode(buffer.subarray(0, length));
    }
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionReset) end = "reset";
  }
  clearTimeout(timer);
  return { end, text };
}

Deno.test("FakeEngine lists networks and containers to dockerode", () =>
  withItems(async (engine) => {
    const docker = new Docker({ socketPath: engine.socketPath });
    assert.deepEqual(await docker.listNetworks(), networks);
    assert.deepEqual(await docker.listContainers({ all: true }), containers);
    assert.equal((await docker.listContainers()).length, 3);
    await assert.rejects(docker.getContainer("x").inspect(), { statusCode: 404 });
    assert.equal(engine.requestCount, 4);
    assert.deepEqual(engine.requests[0], { method: "GET", path: "/networks" });
  }));

Deno.test("FakeEngine filters as the real engine does", () =>
  withItems(async (engine) => {
    const cases: [path: string, filters: object, expected: string[]][] = [
      ["/networks", { name: ["decnet", "oth"] }, ["decnet_t_1_lan", "other"]],
      ["/networks", { label: ["decnet.topology.id=t1"] }, ["decnet_t_1_lan"]],
      ["/networks", { label: ["decnet.topology.id", "x"] }, []],
      ["/networks", { status: ["x"] }, ["Invalid filter 'status'"]],
      ["/containers/json", { name: ["/decnet_t_1_web$"] }, ["/decnet_t_1_web"]],
      ["/containers/json", { name: ["^/?decnet_"] }, ["/decnet_t_1_web", "/decnet_t_1_web-http"]],
      ["/containers/json", { label: ["decnet.topology.id"] }, ["/decnet_t_1_web"]],
      ["/containers/json?all=1", { name: ["o", "wait"] }, ["/gone", "/waits"]],
      ["/containers/json?all=0", { name: ["gone"] }, []],
      ["/networks", { name: [] }, networks.map(({ Name }) => Name)],
    ];
    for (const [path, filters, expected] of cases) {
      assert.deepEqual(await names(engine, path, filters), expected, JSON.stringify(filters));
    }
  }));

Deno.test("FakeEngine answers pipelined requests in order, long ones in chunks", () =>
  withItems(async (engine) => {
    const paths = ["/images/none/json", "/containers/json", "/nope", "/networks"];
    const { end, text } = await exchange(engine, paths);
    assert.equal(end, "closed");
    assert.match(
      text,
      /no such image[^]*chunked\r\n[^]*web-http[^]*not found"\}\n[^]*"other"/,
    );
    assert.equal(engine.connectionCount, 1);
  }));

Deno.test("FakeEngine.stop() ends what hangs and frees the path", () =>
  withItems(async (engine) => {
    engine.fault = { kind: "hang" };
    const hanging = exchange(engine, ["/networks"], 5000);
    await until(() => engine.requestCount > 0);
    await engine.stop();
    assert.equal((await hanging).text, "");
    await using second = await FakeEngine.start(engine.socketPath);
    assert.deepEqual(await names(second, "/networks"), []);
  }));

Deno.test("listenWithoutAccepting() lets clients write and wait", async () => {
  using folder = new TemporaryFolder();
  using _listener = listenWithoutAccepting(`${folder.path}/docker.sock`);
  using connection = await Deno.connect({ transport: "unix", path: `${folder.path}/docker.sock` });
  await connection.write(new TextEncoder().encode("GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n"));
  const waited = new Promise((resolve) => setTimeout(resolve, 100, "nothing"));
  const read = connection.read(new Uint8Array(1)).catch(() => null);
  assert.equal(await Promise.race([read, waited]), "nothing");
});

const faults: [Fault, end: string, RegExp][] = [
  [{ kind: "hang" }, "silent", /^$/],
  [{ kind: "hang-body" }, "silent", /^HTTP\/1\.1 200 OK\r\n[^]*"Name":"bridge"[^]*[^\n]$/],
  [{ kind: "reset" }, "reset", /^HTTP\/1\.1 200 OK\r\nApi-Ver$/],
  [{ kind: "garbage" }, "silent", /^(?!HTTP)[^]{512}$/],
  [{ kind: "truncated" }, "closed", /Content-Length: [^]*\]\n$/],
  [{ kind: "truncated", chunked: true }, "closed", /chunked[^]*\]\n$/],
  [{ kind: "status", status: 500, message: "no" }, "closed", /^HTTP\/1\.1 500 [^]*"no"\}\n$/],
  [{ kind: "body", body: "7" }, "closed", /^HTTP\/1\.1 200 OK[^]*\r\n\r\n7$/],
  [{ kind: "huge", bytes: 100_000 }, "closed", /chunked\r\n[^]{100000}/],
  [{ kind: "slow", bytesPerSecond: 100 }, "silent", /^HTTP[^]{1,60}$/],
];
for (const [fault, expectedEnd, expectedText] of faults) {
  const { kind, ...rest } = fault;
  Deno.test(`FakeEngine goes wrong: ${kind} ${JSON.stringify(rest)}`, () =>
    withItems(async (engine) => {
      engine.fault = fault;
      const waitMs = expectedEnd === "silent" ? 500 : 5000;
      const { end, text } = await exchange(engine, ["/networks"], waitMs);
      assert.equal(end, expectedEnd);
      assert.match(text, expectedText);
    }));
}

const changingFaults: [Fault, status: number | null][] = [
  [{ kind: "reset" }, null],
  [{ kind: "truncated" }, null],
  [{ kind: "status", status: 500, message: "no" }, 500],
];
for (const [fault, expected] of changingFaults) {
  for (const effect of ["before", "after"] as const) {
    Deno.test(`FakeEngine lets a change go wrong: ${fault.kind}, effect ${effect}`, () =>
      withEngine(async (engine) => {
        const send = async (method: string, path: string, body?: object) => {
          const answer = call(engine.socketPath, method, path, body);
          return (await answer.catch(() => null))?.status ?? null;
        };
        const create = () =>
          send("POST", "/networks/create", { Name: "lan", CheckDuplicate: true });
        engine.fault = { ...fault, effect, once: true, method: "POST", afterRequests: 1 };
        assert.equal(await send("POST", "/containers/x/start"), 404);
        assert.equal(await create(), expected);
        assert.equal(engine.fault, undefined);
        assert.equal(await create(), effect === "after" ? 409 : 201);
        engine.fault = { ...fault, effect, once: true, method: "DELETE", path: "/networks" };
        assert.equal(await send("DELETE", "/networks/lan"), expected);
        assert.equal(await send("DELETE", "/networks/lan"), effect === "after" ? 404 : 204);
        assert.equal(engine.changes.length, 5);
      }));
  }
}

Deno.test("FakeEngine leaves a test's arrays alone", () =>
  withItems(async (engine) => {
    const before = JSON.stringify([networks, containers]);
    for (const { Id } of containers) {
      await call(engine.socketPath, "DELETE", `/containers/${Id}?force=1`);
    }
    assert.deepEqual(engine.containers, []);
    assert.equal(JSON.stringify([networks, containers]), before);
  }));

Deno.test("FakeEngine.latencyMs delays calls side by side", () =>
  withItems(async (engine) => {
    engine.latencyMs = 400;
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: 20 }, () => names(engine, "/networks")));
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs >= 390 && tookMs < 4000, `${tookMs} ms`);
  }));

Deno.test("FakeEngine sends events when a test assigns other lists", () =>
  withEngine(async (engine) => {
    const on = (state: "running" | "exited", health?: "healthy" | "unhealthy") => [
      container({
        name: "x-web",
        state,
        addresses: { "x-lan": "10.0.0.2" },
        ...(health && { health }),
      }),
    ];
    await using listener = await EventListener.open(engine.socketPath, "x-");
    engine.networks = [network({ name: "x-lan" })];
    engine.containers = on("running", "healthy");
    engine.containers = on("running", "unhealthy");
    engine.containers = on("exited");
    engine.containers = [];
    engine.networks = [];
    await until(() => listener.heard.length === 9);
    assert.deepEqual(listener.heard, [
      "network create TAGlan",
      "container create TAGweb",
      "network connect TAGlan",
      "container start TAGweb",
      "container health_status: unhealthy TAGweb",
      "container die TAGweb",
      "network disconnect TAGlan",
      "container destroy TAGweb",
      "network destroy TAGlan",
    ]);
  }));
