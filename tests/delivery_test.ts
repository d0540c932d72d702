import assert from "node:assert/strict";
import type { Beat } from "../agent/mod.ts";
import { withAgent } from "./agent_setup.ts";
import { startMaster } from "./master_setup.ts";

const never = new AbortController().signal;

/** How a beat ended, without the time that it took; that it took some is checked. */
function ending({ delivery }: Beat): Record<string, unknown> {
  const { latencyMs, ...rest } = { latencyMs: null, ...delivery };
  if (latencyMs !== null) assert.ok(latencyMs > 0 && latencyMs < 60_000);
  return { ...rest, wasSent: latencyMs !== null };
}

Deno.test("Agent.beat() delivers", async () => {
  await withAgent(async (setup, agent) => {
    const beat = await agent.beat(never);
    assert.deepEqual(ending(beat), {
      result: "delivered",
      url: `https://127.0.0.1:${setup.master.port}/swarm/heartbeat`,
      httpStatus: 204,
      retryAfterMs: null,
      error: null,
      wasSent: true,
    });
    assert.equal(beat.certificates?.problem, null);
    assert.ok(Math.abs(beat.checkedAt - Date.now()) < 60_000);
  });
});

Deno.test("Agent.beat() uses one connection for many beats", async () => {
  await withAgent(async (setup, agent) => {
    for (let beat = 0; beat < 5; beat++) await agent.beat(never);
    assert.equal(setup.master.beatCount, 5);
    assert.equal(setup.master.connectionCount, 1);
  });
});

Deno.test("Agent.beat() tells why the master rejects it, and goes on", async () => {
  await withAgent(async (setup, agent) => {
    const cases: [status: number, error: RegExp, retryAfter?: string, retryAfterMs?: number][] = [
      [
        400,
        /^the master answered 400: it does not understand the beat; one of the two may be too old: "why"$/,
      ],
      [403, /^the master answered 403: worker\.crt is not the certificate pinned/],
      [404, /^the master answered 404: it does not know this host-uuid/],
      [422, /^the master answered 422: it does not understand the beat/],
      [429, /^the master answered 429/, "7", 7_000],
      [503, /^the master answered 503/, "soon"],
      [500, /^the master answered 500: "why"$/],
      [302, /^the master answered 302: redirects are not followed: "why"$/],
    ];
    for (const [status, error, retryAfter, retryAfterMs = null] of cases) {
      const headers: Record<string, string> = retryAfter ? { "retry-after": retryAfter } : {};
      setup.master.answer = { status, headers, body: " why\n" };
      const { delivery } = await agent.beat(never);
      assert.ok(delivery.result === "rejected");
      assert.match(delivery.error ?? "", error);
      assert.equal(delivery.httpStatus, status);
      assert.equal(delivery.retryAfterMs, retryAfterMs);
    }
    setup.master.answer = { status: 200, headers: { "retry-after": "7" } };
    const { delivery } = await agent.beat(never);
    assert.ok(delivery.result === "delivered" && delivery.retryAfterMs === null);
  });
});

Deno.test("Agent.beat() reads a Retry-After that is a date", async () => {
  await withAgent(async (setup, agent) => {
    const inAMinute = new Date(Date.now() + 60_000).toUTCString();
    setup.master.answer = { status: 503, headers: { "retry-after": inAMinute } };
    const { delivery } = await agent.beat(never);
    assert.ok("retryAfterMs" in delivery && delivery.retryAfterMs !== null);
    assert.ok(delivery.retryAfterMs > 0 && delivery.retryAfterMs <= 60_000);
  });
});

Deno.test("Agent.beat() tells that the master cannot be reached", async () => {
  await withAgent(async (setup, agent) => {
    await setup.master.stop();
    const { port } = setup;
    assert.deepEqual(ending(await agent.beat(never)), {
      result: "unreachable",
      url: `https://127.0.0.1:${port}/swarm/heartbeat`,
      httpStatus: null,
      retryAfterMs: null,
      error:
        `Cannot reach the master at 127.0.0.1:${port}: nobody listens there; start it, or see swarmctl-port`,
      wasSent: true,
    });
    await using _master = await startMaster({ port });
    assert.equal((await agent.beat(never)).delivery.result, "delivered");
  });
});

Deno.test("Agent.beat() sends nothing in a dry run, but looks at the certificates", async () => {
  await withAgent(async (setup, agent) => {
    const beat = await agent.beat(never, { dryRun: true });
    const url = `https://127.0.0.1:${setup.master.port}/swarm/heartbeat`;
    assert.deepEqual(beat.delivery, { result: "dry_run", url });
    assert.equal(setup.master.connectionCount, 0);
    assert.ok((beat.certificates?.expiresAt ?? 0) > Date.now());
  });
});

Deno.test("Agent.beat() makes beats without a master, a host-uuid or certificates", async () => {
  await withAgent(async (setup, agent) => {
    await Deno.remove(`${setup.path}/ca.crt`);
    const beat = await agent.beat(never);
    assert.deepEqual(beat.delivery, { result: "not_configured" });
    assert.equal(beat.certificates, null);
    assert.equal(beat.body.host_uuid, null);
    assert.equal(beat.body.topology?.drift.state, "consistent");
  }, () => ({ master: null, hostUuid: null }));
});

Deno.test("Agent.beat() puts an IPv6 address of the master in brackets", async () => {
  await withAgent(async (_setup, agent) => {
    const { delivery } = await agent.beat(never, { dryRun: true });
    assert.deepEqual(delivery, {
      result: "dry_run",
      url: "https://[fd00::1]:8770/swarm/heartbeat",
    });
  }, () => ({ master: { host: "fd00::1", port: 8770, name: "master.test", fingerprint: null } }));
});

Deno.test("Agent.beat() sends nothing without certificates, and does when they have come", async () => {
  await withAgent(async (setup, agent) => {
    await Deno.rename(`${setup.path}/worker.key`, `${setup.path}/elsewhere`);
    const beat = await agent.beat(never);
    const error =
      `Cannot use ${setup.path}/worker.key: no such file; agent-dir tells where it must be`;
    assert.deepEqual(ending(beat), {
      result: "unreachable",
      url: `https://127.0.0.1:${setup.master.port}/swarm/heartbeat`,
      httpStatus: null,
      retryAfterMs: null,
      error,
      wasSent: false,
    });
    assert.deepEqual(beat.certificates, { expiresAt: null, problem: error });
    assert.equal(beat.body.topology?.drift.state, "consistent");
    await Deno.rename(`${setup.path}/elsewhere`, `${setup.path}/worker.key`);
    assert.equal((await agent.beat(never)).delivery.result, "delivered");
  });
});

Deno.test("Agent.beat() goes out in time with what is known when the host takes too long", async () => {
  await withAgent(async (setup, agent) => {
    setup.engine.fault = { kind: "hang" };
    const { delivery, stock } = await agent.beat(never, { stockTimeoutMs: 200 });
    assert.equal(delivery.result, "delivered");
    assert.ok("error" in stock.observed);
    assert.match(
      stock.observed.error,
      /^Cannot observe Docker at .*: no answer in time; if that lasts, restart the engine$/,
    );
  });
});

Deno.test("Agent.beat() ends at once when it is aborted, wherever it hangs", async () => {
  await withAgent(async (setup, agent) => {
    const abortWhen = async (hangs: () => Promise<unknown>, expected: RegExp) => {
      const controller = new AbortController();
      const beat = agent.beat(controller.signal);
      await hangs();
      const startedAt = performance.now();
      controller.abort(new Error("the agent is stopping"));
      const { delivery } = await beat;
      assert.ok(performance.now() - startedAt < 2_000);
      assert.ok("error" in delivery);
      assert.match(delivery.error ?? "", expected);
      return delivery;
    };
    setup.master.answer = { kind: "hang" };
    const sent = await abortWhen(() => setup.master.nextBeat(), /: the agent is stopping$/);
    assert.notEqual(sent.latencyMs, null);
    setup.engine.fault = { kind: "hang" };
    const { requestCount } = setup.engine;
    const notSent = await abortWhen(async () => {
      while (setup.engine.requestCount === requestCount) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }, /^no time was left to send the beat$/);
    // So the master is not blamed for what it never got.
    assert.equal(notSent.latencyMs, null);
    assert.equal(setup.master.beatCount, 1);
  });
});
