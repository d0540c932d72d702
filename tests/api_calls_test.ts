import assert from "node:assert/strict";
import { Refusal, type RefusalKind } from "../apply/refusal.ts";
import { ApiSetup } from "./api_setup.ts";

const applied = { status: "applied", version_hash: "cafe" };
const apply = { hydrated: { lans: [] }, version_hash: "cafe" };

Deno.test("the API answers each call of the contract", async () => {
  await using api = await ApiSetup.start();
  const cases: [path: string, body: unknown, answer: unknown, call: string | null][] = [
    ["/health", undefined, { status: "ok" }, null],
    ["/health?", undefined, { status: "ok" }, null],
    ["/topology/state", undefined, { topology_id: null }, "state"],
    ["/topology/apply", apply, applied, 'apply {"lans":[]} cafe'],
    // What would be lost if the body were read with JSON.parse.
    [
      "/topology/apply",
      '{"hydrated":{"a":1.0,"b":123456789012345678901234567890},"version_hash":"cafe","more":1}',
      applied,
      'apply {"a":1.0,"b":123456789012345678901234567890} cafe',
    ],
    [
      "/topology/apply",
      [new TextEncoder().encode(JSON.stringify(apply)), new Uint8Array(0)],
      applied,
      'apply {"lans":[]} cafe',
    ],
    [
      "/topology/teardown",
      { topology_id: "t-1" },
      { status: "torn_down", topology_id: "t-1" },
      "teardown t-1",
    ],
  ];
  for (const [path, body, answer, call] of cases) {
    api.service.calls.length = 0;
    const reply = await api.call(path, { body, method: body === undefined ? "GET" : "POST" });
    assert.deepEqual([reply.status, reply.body], [200, answer], path);
    assert.equal(reply.headers["content-type"], "application/json");
    assert.equal(reply.headers.server, undefined);
    assert.deepEqual(api.service.calls, call === null ? [] : [call]);
  }
  assert.deepEqual(api.log, []);
});

Deno.test("the API refuses what is not in the contract", async () => {
  await using api = await ApiSetup.start();
  const cases: [method: string, path: string, status: number, allow?: string][] = [
    ["GET", "/", 404],
    ["GET", "/Health", 404],
    ["GET", "/health/", 404],
    ["GET", "/topology/apply/../state", 404],
    ["POST", "/topology", 404],
    ["POST", "/health", 405, "GET"],
    ["DELETE", "/topology/state", 405, "GET"],
    ["GET", "/topology/apply", 405, "POST"],
    ["PUT", "/topology/teardown", 405, "POST"],
    ["OPTIONS", "/topology/teardown", 405, "POST"],
  ];
  for (const [method, path, status, allow] of cases) {
    const reply = await api.call(path, { method });
    assert.deepEqual([reply.status, reply.headers.allow], [status, allow], `${method} ${path}`);
    assert.equal(typeof (reply.body as { detail: string }).detail, "string");
  }
  assert.deepEqual(api.service.calls, []);
});

Deno.test("the API answers 422 to a body of another shape, and asks for nothing", async () => {
  await using api = await ApiSetup.start();
  const cases: [path: string, body: unknown, detail: RegExp][] = [
    ["/topology/apply", "", /not JSON at the end/],
    ["/topology/apply", "{", /not JSON at the end/],
    ["/topology/apply", "{'a':1}", /not JSON at character 2/],
    ["/topology/apply", "[".repeat(300), /deeper than/],
    ["/topology/apply", Uint8Array.of(0x22, 0xff, 0x22), /not UTF-8/],
    ["/topology/apply", "[]", /^the body must be an object$/],
    ["/topology/apply", "null", /^the body must be an object$/],
    ["/topology/apply", "1", /^the body must be an object$/],
    ["/topology/apply", { hydrated: {} }, /^version_hash must be a string$/],
    ["/topology/apply", { hydrated: {}, version_hash: 1 }, /^version_hash must be a string$/],
    ["/topology/apply", { version_hash: "a" }, /^hydrated must be an object$/],
    ["/topology/apply", { version_hash: "a", hydrated: [] }, /^hydrated must be an object$/],
    ["/topology/apply", { version_hash: "a", hydrated: 1 }, /^hydrated must be an object$/],
    ["/topology/apply", { version_hash: "a", hydrated: null }, /^hydrated must be an object$/],
    ["/topology/apply", { version_hash: "a", hydrated: "{}" }, /^hydrated must be an object$/],
    ["/topology/teardown", {}, /^topology_id must be a string$/],
    ["/topology/teardown", { topology_id: null }, /^topology_id must be a string$/],
  ];
  for (const [path, body, detail] of cases) {
    const reply = await api.post(path, body);
    assert.equal(reply.status, 422, String(body));
    assert.match((reply.body as { detail: string }).detail, detail);
  }
  assert.deepEqual(api.service.calls, []);
  assert.deepEqual(api.log, []);
});

Deno.test("the API turns a refusal into its status and tells why", async () => {
  await using api = await ApiSetup.start();
  const kinds: [RefusalKind, status: number][] = [
    ["malformed", 422],
    ["invalid", 400],
    ["conflict", 409],
    ["busy", 503],
    ["failed", 500],
  ];
  for (const [kind, status] of kinds) {
    api.service.onCall = () => Promise.reject(new Refusal(kind, `it is ${kind}`));
    for (const [path, body] of [["apply", apply], ["teardown", { topology_id: "t" }]] as const) {
      const reply = await api.post(`/topology/${path}`, body);
      assert.deepEqual([reply.status, reply.body], [status, { detail: `it is ${kind}` }]);
    }
  }
  api.service.onCall = () => Promise.reject(new Refusal("failed", "x".repeat(499) + "\u{1f600}"));
  const { detail } = (await api.post("/topology/apply", apply)).body as { detail: string };
  assert.equal(detail, "x".repeat(499) + "\ufffd");
});

Deno.test("the API tells its log, and nobody else, of an error that nobody expected", async () => {
  await using api = await ApiSetup.start();
  api.service.onCall = () => Promise.reject(new TypeError("the pin is 1234"));
  const reply = await api.post("/topology/apply", apply);
  assert.deepEqual([reply.status, reply.body], [500, { detail: "internal error" }]);
  assert.deepEqual(api.log, ["error the API failed: the pin is 1234 /topology/apply"]);
});

Deno.test("the API keeps a connection for one call after another", async () => {
  await using api = await ApiSetup.start();
  using client = await api.talk();
  const head = "HTTP/1.1\r\nHost: agent\r\n";
  client.say(`GET /health ${head}\r\nGET /topology/state ${head}\r\n`);
  assert.match(await client.hear('{"topology_id":null}'), /Keep-Alive: timeout=60\r\n/);
  // Who asks for what need not say where.
  client.say("GET /nowhere HTTP/1.1\r\n\r\n");
  await client.hear('{"detail":"there is nothing at this path"}');
  client.say(`POST /topology/teardown ${head}Content-Length: 19\r\n\r\n{"topology_id":"t"}`);
  await client.hear('{"status":"torn_down","topology_id":"t"}');
});

Deno.test("the API tells a client that waits for it to go on, and only one that may", async () => {
  await using api = await ApiSetup.start();
  const head = "HTTP/1.1\r\nHost: agent\r\nContent-Length: 19\r\n";
  using client = await api.talk();
  client.say(`POST /topology/teardown ${head}Expect: 100-continue\r\n\r\n`);
  await client.hear("100 Continue\r\n\r\n");
  client.say('{"topology_id":"t"}');
  await client.hear('{"status":"torn_down","topology_id":"t"}');
  for (const [path, expectation, status] of [["/", "100-continue", 404], ["/health", "x", 417]]) {
    using other = await api.talk();
    other.say(`POST ${path} ${head}Expect: ${expectation}\r\n\r\n`);
    assert.match(await other.hear("detail"), new RegExp(`^HTTP/1.1 ${status} `));
  }
});
