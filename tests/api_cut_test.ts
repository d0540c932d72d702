import assert from "node:assert/strict";
import { connect } from "node:tls";
import { ApiSetup, master } from "./api_setup.ts";

const call = "POST /topology/teardown HTTP/1.1\r\nHost: agent\r\n";
const whole = `${call}Content-Length: 2\r\n\r\n{}`;

/** What cuts a connection while the body before it is still to be read. */
const cases: [name: string, text: string][] = [
  ["is followed by what is no request", `${whole}garbage\r\n\r\n`],
  ["is followed by a call that is cut short", `${whole}${call}Content-Length: 20\r\n\r\n{`],
  ["is cut short", `${call}Content-Length: 20\r\n\r\n{`],
  ["has a chunk without a size", `${call}Transfer-Encoding: chunked\r\n\r\n2\r\n{}zz\r\n`],
];

for (const [name, text] of cases) {
  Deno.test(`the API keeps nobody waiting for a call that ${name}`, async () => {
    // Whoever has to wait for the bound on a body waits for longer than any test may take.
    await using api = await ApiSetup.start({ bounds: { bodyTimeoutMs: 3_600_000 } });
    await sayAndLeave(api.port, text);
    const { status } = await api.post("/topology/teardown", { topology_id: "A" });
    assert.equal(status, 200);
    assert.deepEqual(api.service.calls, ["teardown A"]);
  });
}

Deno.test("the API closes a connection when it has told that it will, and the call was whole", async () => {
  await using api = await ApiSetup.start({ bounds: { idleTimeoutMs: 3_600_000 } });
  const length = `Content-Length: 2\r\n\r\n{}`;
  for (const path of ["/health", "/nothing"]) {
    for (const body of [length, "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"]) {
      using client = await api.talk();
      client.say(`POST ${path} HTTP/1.1\r\nHost: agent\r\n${body}`);
      assert.match(await client.end(), /^HTTP\/1\.1 40[45] .*\nconnection: close\r\n.*"\}$/is);
    }
  }
});

Deno.test("the API answers each of several calls that come at once, also one with no use for its body", async () => {
  await using api = await ApiSetup.start();
  using client = await api.talk();
  const body = "Content-Length: 19\r\n\r\n" + '{"topology_id":"A"}';
  client.say(`${call}${body}${call.replace("topology/teardown", "health")}${body}`);
  const heard = await client.end();
  assert.deepEqual(heard.match(/HTTP\/1\.1 \d+|"detail"|torn_down/g), [
    ...["HTTP/1.1 200", "torn_down", "HTTP/1.1 405", '"detail"'],
  ]);
});

/** Says something as the master, and nothing more; resolves when the connection is closed. */
async function sayAndLeave(port: number, text: string): Promise<void> {
  const { authority: ca, certificate: cert, key } = master;
  const socket = connect({ host: "127.0.0.1", port, ca, cert, key, rejectUnauthorized: false });
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on("error", () => {}).on("data", () => {}).once("close", () => resolve());
  socket.once("secureConnect", () => socket.end(text));
  await promise;
}
