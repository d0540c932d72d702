import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { authority, TestClient } from "./master_setup.ts";

/** The runtime itself sends a small beat again, but none beyond 1 MiB. */
const bodies = { small: "{}", large: JSON.stringify("x".repeat(2_000_000)) };

for (const [size, body] of Object.entries(bodies)) {
  Deno.test(`MasterClient.post() sends a ${size} beat again when the kept connection breaks`, async () => {
    await using server = await listen((beat, { socket }, response) => {
      if (beat === 2) socket.destroy();
      else response.writeHead(204).end();
    });
    using client = await TestClient.to(server);
    for (let beat = 0; beat < 3; beat++) assert.equal((await client.post({ body })).status, 204);
    assert.equal(server.beats, 4);
  });

  Deno.test(`MasterClient.post() keeps to its time when it has to send a ${size} beat again`, async () => {
    await using server = await listen((beat, { socket }, response) => {
      if (beat === 1) response.writeHead(204).end();
      // The kept connection breaks late in the time that the second beat has.
      if (beat === 2) setTimeout(() => socket.destroy(), 1_000);
    });
    using client = await TestClient.to(server);
    await client.post({ body });
    const startedAt = performance.now();
    await assert.rejects(
      client.post({ body, timeoutMs: 1_500 }),
      /: no answer within 1\.5 s; see what holds up the master$/,
    );
    assert.ok(performance.now() - startedAt < 2_400);
    assert.equal(server.beats, 3);
  });
}

Deno.test("MasterClient.post() does not send a beat again that failed on a new connection", async () => {
  await using server = await listen((_beat, { socket }) => socket.destroy());
  using client = await TestClient.to(server);
  for (const body of Object.values(bodies)) await assert.rejects(client.post({ body }));
  assert.equal(server.beats, 2);
});

for (const reason of ["the time is over", "it is aborted"]) {
  Deno.test(`MasterClient.post() does not send a beat again that was given up as ${reason}`, async () => {
    const controller = new AbortController();
    await using server = await listen((beat, _request, response) => {
      if (beat !== 2) response.writeHead(204).end();
      else if (reason === "it is aborted") controller.abort(new Error("the agent is stopping"));
    });
    using client = await TestClient.to(server);
    await client.post();
    const { signal } = controller;
    const timeoutMs = reason === "it is aborted" ? 60_000 : 300;
    await assert.rejects(client.post({ signal, timeoutMs }), /is stopping$|within 0\.3 s;/);
    await client.post();
    assert.equal(server.beats, 3);
  });
}

Deno.test("MasterClient.post() gives the answer more time than the connection", async () => {
  await using server = await listen((beat, _request, response) => {
    setTimeout(() => response.writeHead(204).end(), beat === 1 ? 0 : 1_300);
  });
  using client = await TestClient.to(server);
  for (let beat = 0; beat < 2; beat++) {
    assert.equal((await client.post({ connectTimeoutMs: 1_000 })).status, 204);
  }
});

Deno.test("MasterClient.post() asks for the master by its name, as one behind a shared port needs", async () => {
  const names: unknown[] = [];
  await using server = await listen((_beat, { socket }, response) => {
    names.push((socket as TLSSocket & { servername: unknown }).servername || null);
    response.writeHead(204).end();
  });
  for (const name of ["master.test", "127.0.0.1"]) {
    using client = await TestClient.to(server, { name });
    await client.post();
  }
  assert.deepEqual(names, ["master.test", null]);
});

/** A master of whose every beat, counted from 1, the test disposes. */
async function listen(
  handle: (beat: number, request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ port: number; readonly beats: number } & AsyncDisposable> {
  const { certificatePem: cert, keyPem: key } = await authority.issue({
    commonName: "the master",
    dnsNames: ["master.test"],
    ipAddresses: ["127.0.0.1"],
  });
  let beats = 0;
  const server = createServer({ cert, key }, (request, response) => {
    request.resume().on("end", () => handle(++beats, request, response));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get beats() {
      return beats;
    },
    [Symbol.asyncDispose]: () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      return closed;
    },
  };
}
