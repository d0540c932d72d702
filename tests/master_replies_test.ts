import assert from "node:assert/strict";
import { startMaster, TestClient } from "./master_setup.ts";
import { listenPlainTcp, type MasterAnswer } from "./tls_master.ts";

Deno.test("MasterClient.post() answers what the master said, whatever its status", async () => {
  await using master = await startMaster();
  using client = await TestClient.to(master);
  const retryAfter = "Sun, 22 Nov 2026 10:00:00 GMT";
  const cases: [answer: MasterAnswer & { status: number }, expected: unknown][] = [
    [{ status: 204 }, { status: 204, retryAfter: null, text: "" }],
    [{ status: 200, body: "thanks" }, { status: 200, retryAfter: null, text: "thanks" }],
    [{ status: 400, body: "{}" }, { status: 400, retryAfter: null, text: "{}" }],
    [{ status: 403 }, { status: 403, retryAfter: null, text: "" }],
    [{ status: 404, body: "é😀" }, { status: 404, retryAfter: null, text: "é😀" }],
    [{ status: 422 }, { status: 422, retryAfter: null, text: "" }],
    [
      { status: 429, headers: { "retry-after": "7" } },
      { status: 429, retryAfter: "7", text: "" },
    ],
    [
      { status: 503, headers: { "Retry-After": retryAfter } },
      { status: 503, retryAfter, text: "" },
    ],
    [{ status: 500, body: "boom" }, { status: 500, retryAfter: null, text: "boom" }],
  ];
  for (const [answer, expected] of cases) {
    master.answer = answer;
    assert.deepEqual(await client.post(), expected);
  }
});

Deno.test("MasterClient.post() does not follow a redirect", async () => {
  await using master = await startMaster();
  await using elsewhere = await startMaster();
  using client = await TestClient.to(master);
  for (const status of [301, 302, 303, 307, 308]) {
    const location = `https://127.0.0.1:${elsewhere.port}/swarm/heartbeat`;
    master.answer = { status, headers: { location } };
    assert.equal((await client.post()).status, status);
  }
  assert.equal(elsewhere.connectionCount, 0);
  assert.equal(master.beatCount, 5);
});

Deno.test("MasterClient.post() keeps the first 200 characters of an answer", async () => {
  await using master = await startMaster();
  using client = await TestClient.to(master);
  for (const body of ["x".repeat(300), "é".repeat(300), `${"x".repeat(199)}😀😀`]) {
    master.answer = { status: 500, body };
    const { text } = await client.post();
    assert.equal(text.length, 200);
    assert.ok(text.isWellFormed());
    assert.equal(text.slice(0, 199), body.slice(0, 199));
  }
});

Deno.test("MasterClient.post() stops reading an answer without end and holds next to nothing of it", async () => {
  await using master = await startMaster();
  using client = await TestClient.to(master);
  master.answer = { kind: "huge", bytes: 4_000_000_000 };
  const before = Deno.memoryUsage().rss;
  const { status, text } = await client.post();
  assert.deepEqual([status, text], [200, `"${"a".repeat(199)}`]);
  assert.ok(Deno.memoryUsage().rss - before < 200e6);
  master.answer = { status: 204 };
  assert.equal((await client.post()).status, 204);
});

for (
  const answer of [{ kind: "hang" }, { kind: "half-open" }, {
    kind: "drip",
    bytesPerSecond: 50,
  }] as const
) {
  Deno.test(`MasterClient.post() gives up on a master that ${answer.kind}s`, async () => {
    await using master = await startMaster();
    using client = await TestClient.to(master);
    master.answer = answer;
    await assert.rejects(client.post({ timeoutMs: 300 }), {
      message:
        `Cannot reach the master at 127.0.0.1:${master.port}: no answer within 0.3 s; see what holds up the master`,
    });
    assert.equal(master.beatCount, 1);
    master.answer = { status: 204 };
    assert.equal((await client.post()).status, 204);
  });
}

Deno.test("MasterClient.post() gives up on a port that takes the connection and never speaks", async () => {
  using silent = listenPlainTcp();
  using client = await TestClient.to(silent);
  await assert.rejects(
    client.post({ timeoutMs: 300 }),
    /: no answer within 0\.3 s; see what holds up the master$/,
  );
});

Deno.test("MasterClient.post() gives up on a connection that does not come about", async () => {
  const full = await listenWithFullQueue();
  try {
    using client = await TestClient.to(full);
    await assert.rejects(
      client.post({ connectTimeoutMs: 300 }),
      /: no connection within 0\.3 s; see master-host, and what filters packets between$/,
    );
  } finally {
    await full.stop();
  }
});

/** Listens without accepting; when the kernel's queue is full, a further connect gets no answer. */
async function listenWithFullQueue(): Promise<{ port: number; stop(): Promise<void> }> {
  const address = { hostname: "127.0.0.1", port: 0 };
  const listener = Deno.listen(address);
  address.port = listener.addr.port;
  const connections: Deno.Conn[] = [];
  while (true) {
    const connecting = Deno.connect(address);
    const stalled = Promise.withResolvers<null>();
    const timer = setTimeout(() => stalled.resolve(null), 800);
    const connection = await Promise.race([connecting, stalled.promise]);
    clearTimeout(timer);
    if (connection) {
      connections.push(connection);
      continue;
    }
    const stop = async () => {
      listener.close();
      await connecting.then((late) => late.close(), () => {});
      for (const connection of connections) connection.close();
    };
    return { port: address.port, stop };
  }
}

Deno.test("MasterClient.post() gives up on a port that speaks something else", async () => {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response(),
  );
  using client = await TestClient.to(server.addr);
  await assert.rejects(client.post(), {
    message:
      `Cannot reach the master at 127.0.0.1:${server.addr.port}: it does not speak TLS there; swarmctl-port tells the port`,
  });
});

Deno.test("MasterClient.post() says that the master cut the connection", async () => {
  await using master = await startMaster();
  using client = await TestClient.to(master);
  master.answer = { kind: "reset" };
  await assert.rejects(
    client.post(),
    /: it closed the connection before it answered; it may not accept worker\.crt$/,
  );
  assert.equal(master.beatCount, 1);
});

Deno.test("MasterClient.post() takes the status for the answer when the rest of it is cut off", async () => {
  await using master = await startMaster();
  using client = await TestClient.to(master);
  // On a kept connection first, and then on new ones.
  for (const status of [204, 503, 200, 403]) {
    master.answer = status === 204 ? { status } : { kind: "cut", status };
    const { status: seen, retryAfter } = await client.post();
    assert.deepEqual([seen, retryAfter], [status, status === 204 ? null : "7"]);
  }
  assert.equal(master.beatCount, 4);
});

for (const kind of ["hang", "half-open"] as const) {
  Deno.test(`MasterClient.post() ends at once when it is aborted while the master ${kind}s`, async () => {
    await using master = await startMaster();
    using client = await TestClient.to(master);
    master.answer = { kind };
    const controller = new AbortController();
    const posted = client.post({ signal: controller.signal, timeoutMs: 60_000 });
    await master.nextBeat();
    controller.abort(new Error("the agent is stopping"));
    await assert.rejects(posted, /: the agent is stopping$/);
  });
}

Deno.test("MasterClient.post() sends nothing when it was aborted before", async () => {
  await using master = await startMaster();
  using client = await TestClient.to(master);
  const signal = AbortSignal.abort(new Error("the agent is stopping"));
  await assert.rejects(client.post({ signal }), /: the agent is stopping$/);
  assert.equal(master.beatCount, 0);
});
