import assert from "node:assert/strict";
import { scriptSocket } from "../tests/support/answer_streams.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { isRelevant, listenToEvents, readLines } from "./events.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** The lines of a stream that comes in these parts. */
async function linesOf(parts: Iterable<Uint8Array>, maximumBytes?: number) {
  const lines: (string | null)[] = [];
  const iterator = parts[Symbol.iterator]();
  const readRest = (into: Uint8Array) => {
    const { value, done } = iterator.next();
    if (done) return Promise.resolve(null);
    into.set(value);
    return Promise.resolve(value.length);
  };
  await readLines({ readRest }, (line) => lines.push(line), maximumBytes);
  return lines;
}

Deno.test("readLines() splits lines wherever the parts begin and end", async () => {
  const bytes = bytesOf('{"name":"dück"}\n\n{"name":"🦆"}\nfür\n');
  for (let size = 1; size <= bytes.length; size++) {
    const parts = Array.from(
      { length: Math.ceil(bytes.length / size) },
      (_, index) => bytes.subarray(index * size, (index + 1) * size),
    );
    assert.deepEqual(await linesOf(parts), ['{"name":"dück"}', '{"name":"🦆"}', "für"]);
  }
});

Deno.test("readLines() reports a line that is too long, and goes on", async () => {
  const parts = [
    "0123456789\n01234567890\nshort\n",
    ...Array<string>(1_000).fill("x".repeat(7)),
    "\nlast\nnot ended",
  ];
  const expected = ["0123456789", null, "short", null, "last"];
  assert.deepEqual(await linesOf(parts.map(bytesOf), 10), expected);
});

Deno.test("readLines() needs no more memory for a line of single bytes", async () => {
  const byte = bytesOf("x");
  let more = 0;
  function* parts() {
    const before = Deno.memoryUsage().heapUsed;
    for (let bytes = 0; bytes < 2 ** 18; bytes++) yield byte;
    more = Deno.memoryUsage().heapUsed - before;
    yield bytesOf("\nshort\n");
  }
  assert.deepEqual(await linesOf(parts()), ["x".repeat(2 ** 18), "short"]);
  // A piece for each byte took 60 MB; what is garbage by now is far less.
  assert.ok(more < 30e6, `${more / 1e6} MB`);
});

const prefixes = ["decnet-", "decnet_t_"];

/** A line about a container, as Docker writes it. */
function ofContainer(action: string, name: string, more: object = {}) {
  const id = `id of ${name}`;
  const attributes = { image: "x", name, ...more };
  return JSON.stringify({
    ...{ status: action, id, from: "x", Type: "container", Action: action },
    Actor: { ID: id, Attributes: attributes },
  });
}

/** A line about a network; Docker adds the container's id as an attribute. */
function ofNetwork(action: string, name: string, container?: string) {
  const attributes = { name, type: "bridge", ...(container && { container }) };
  return JSON.stringify({
    ...{ Type: "network", Action: action },
    Actor: { ID: `id of ${name}`, Attributes: attributes },
  });
}

const label = { "decnet.topology.id": "t1" };
const cases: [what: string, matters: boolean, line: string][] = [
  ["a container named as ours", true, ofContainer("die", "decnet_t_1_web")],
  ["a container with our label", true, ofContainer("die", "web", label)],
  ["an unmanaged container", false, ofContainer("die", "web", { "com.example": "decnet_t_" })],
  [
    "a container renamed to our prefix",
    true,
    ofContainer("rename", "decnet-web", { oldName: "/web" }),
  ],
  [
    "a container renamed away from it",
    true,
    ofContainer("rename", "web", { oldName: "/decnet-web" }),
  ],
  ["an unmanaged container renamed", false, ofContainer("rename", "web", { oldName: "/shop" })],
  ["Podman's rename, without the old name", true, ofContainer("rename", "web")],
  ["the result of a health check", true, ofContainer("health_status: unhealthy", "decnet-web")],
  [
    "exec in a managed container",
    false,
    ofContainer("exec_create: /bin/sh -c false", "decnet-web"),
  ],
  ["top in a managed container", false, ofContainer("top", "decnet-web")],
  ["a created network, without its labels", true, ofNetwork("create", "lan")],
  ["a removed network", true, ofNetwork("destroy", "decnet_t_1_lan")],
  ["a container disconnected from a network", true, ofNetwork("disconnect", "bridge", "7")],
  ["one of others disconnected", false, ofNetwork("disconnect", "bridge", "id of shop")],
  ...["7", "id of shop"].map((id): [string, boolean, string] => [
    `Podman's connect of ${id}`,
    id === "7",
    `{"Type":"network","Action":"connect","Actor":{"ID":"${id}","Attributes":{"name":"web"}}}`,
  ]),
  ["an image", false, '{"Type":"image","Action":"pull","Actor":{"ID":"x","Attributes":{}}}'],
  [
    "a container without a name",
    true,
    '{"Type":"container","Action":"die","Actor":{"ID":"7","Attributes":{}}}',
  ],
  ...["", "garbage", "7", "null", "[]", "{}", '{"Type":"container","Actor":7}'].map(
    (line): [string, boolean, string] => [JSON.stringify(line), true, line],
  ),
];
for (const [what, matters, line] of cases) {
  Deno.test(`isRelevant() is ${matters} for ${what}`, () => {
    const foreign = new Set<unknown>();
    const started = ofContainer("start", "shop");
    assert.equal(isRelevant(started, prefixes, foreign), false);
    assert.equal(isRelevant(line, prefixes, foreign), matters);
  });
}

const refused = "HTTP/1.1 403 Forbidden\r\n";
const casesEventRefusal: [what: string, answer: string, reason: string][] = [
  ["never ends", `${refused}\r\n{"message":"not here"}`, "403 (not here)"],
  ["stops in the middle", `${refused}Content-Length: 1000\r\n\r\n{"mess`, "403"],
  ["is over the limit", `${refused}\r\n${"x".repeat(100_000)}`, "403"],
  ["is cut into wrong chunks", `${refused}Transfer-Encoding: chunked\r\n\r\nno chunk\r\n`, "403"],
];
for (const [what, text, reason] of casesEventRefusal) {
  Deno.test(`listenToEvents() reports the status when an error body ${what}`, async () => {
    using folder = new TemporaryFolder();
    const socket = `${folder.path}/docker.sock`;
    await using _engine = scriptSocket(socket, [{ text }]);
    const listening = listenToEvents(new AbortController().signal, {
      socket,
      networkPrefixes: [],
      containerPrefixes: [],
      onOpen: () => assert.fail("it was refused"),
      onChange: () => {},
    });
    await assert.rejects(listening, {
      message: `Cannot listen to Docker at ${socket}: GET /events was answered with ${reason}`,
    });
  });
}
