import assert from "node:assert/strict";
import { withAgent } from "../tests/support/agent_setup.ts";
import { rejectionReason, type SendResult, wantsBackoff } from "./sender.ts";

const misunderstood = ": it does not understand the heartbeat; one of the two may be too old";
const redirected = ": redirects are not followed";
const unpinned =
  ": worker.crt is not the certificate pinned to this host-uuid; enrol this host again";
const unknownHost = ": it does not know this host-uuid; enrol this host, or see host-uuid";

Deno.test("rejectionReason() accepts each 2xx and explains other answers", () => {
  const reason = (status: number, text: string) =>
    rejectionReason({ status, text, retryAfter: null });
  for (const [status, text] of [[200, "no"], [204, ""], [299, ""]] as const) {
    assert.equal(reason(status, text), null);
  }
  const cases: [status: number, text: string, expected: string][] = [
    [100, "", ""],
    [304, "", redirected],
    ...[301, 302, 303, 307, 308].map((it): [number, string, string] => [it, "", redirected]),
    [400, "", misunderstood],
    [403, '{"detail":"no"}', `${unpinned}: "{"detail":"no"}"`],
    [404, "", unknownHost],
    [422, " \n", misunderstood],
    [500, "a\r\n\tb  c ", ': "a b c"'],
  ];
  for (const [status, text, expected] of cases) {
    assert.equal(reason(status, text), `the master answered ${status}${expected}`);
  }
});

Deno.test("wantsBackoff() is true for a master that is absent or at fault", () => {
  const sent = { url: "https://m", latencyMs: 3, retryAfterMs: null, error: "e" };
  const rejected = (httpStatus: number) => ({ ...sent, kind: "rejected", httpStatus }) as const;
  const unreachable = { ...sent, kind: "unreachable", httpStatus: null } as const;
  const cases: [result: SendResult, expected: boolean][] = [
    [{ ...sent, httpStatus: null, kind: "not_configured" }, false],
    [{ ...sent, httpStatus: null, kind: "dry_run" }, false],
    [{ ...sent, kind: "delivered", httpStatus: 204, error: null }, false],
    [unreachable, true],
    // Nothing was sent, as the certificates are missing: this is not the master's failure.
    [{ ...unreachable, latencyMs: null }, false],
    ...[302, 400, 403, 404, 422].map((status) =>
      [rejected(status), false] as [SendResult, boolean]
    ),
    ...[429, 500, 502, 503, 599].map((status) => [rejected(status), true] as [SendResult, boolean]),
  ];
  for (const [result, expected] of cases) {
    assert.equal(wantsBackoff(result), expected, JSON.stringify(result));
  }
});

const never = new AbortController().signal;

Deno.test("M16 heartbeat reports why the master rejects it, and continues", () =>
  withAgent(async (setup, agent) => {
    for (const [status, reason, retryAfterMs] of [[403, unpinned, null], [429, "", 7_000]]) {
      const headers: Record<string, string> = retryAfterMs ? { "retry-after": "7" } : {};
      setup.master.answer = { status: Number(status), headers, body: " why\n" };
      const { result: { latencyMs: _, url: _url, ...result } } = await agent.sendHeartbeat(never);
      const error = `the master answered ${status}${reason}: "why"`;
      assert.deepEqual(result, { kind: "rejected", httpStatus: status, retryAfterMs, error });
    }
    setup.master.answer = { status: 200, headers: { "retry-after": "7" } };
    const { result } = await agent.sendHeartbeat(never);
    assert.ok(result.kind === "delivered" && result.retryAfterMs === null);
  }));

Deno.test("Agent.sendHeartbeat() sends nothing in a dry run", () =>
  withAgent(async (setup, agent) => {
    const heartbeat = await agent.sendHeartbeat(never, { dryRun: true });
    const url = `https://127.0.0.1:${setup.master.port}/swarm/heartbeat`;
    assert.deepEqual([heartbeat.result.kind, heartbeat.result.url], ["dry_run", url]);
    assert.equal(setup.master.connectionCount, 0);
    assert.ok((heartbeat.certificates?.expiresAt ?? 0) > Date.now());
  }));

Deno.test("Agent.sendHeartbeat() works without master and certificates", () =>
  withAgent(async (setup, agent) => {
    await Deno.remove(`${setup.path}/ca.crt`);
    const heartbeat = await agent.sendHeartbeat(never);
    assert.equal(heartbeat.result.kind, "not_configured");
    assert.equal(heartbeat.certificates, null);
    assert.equal(heartbeat.body.host_uuid, null);
    assert.equal(heartbeat.body.topology?.drift.state, "consistent");
  }, () => ({ master: null, hostUuid: null })));

Deno.test("Agent.sendHeartbeat() puts an IPv6 address in brackets", () =>
  withAgent(async (_setup, agent) => {
    const { result } = await agent.sendHeartbeat(never, { dryRun: true });
    assert.equal(result.url, "https://[fd00::1]:8770/swarm/heartbeat");
  }, () => ({ master: { host: "fd00::1", port: 8770, name: "master.test", fingerprint: null } })));

Deno.test("M19 heartbeat is sent only once there are certificates", () =>
  withAgent(async (setup, agent) => {
    await Deno.rename(`${setup.path}/worker.key`, `${setup.path}/elsewhere`);
    const heartbeat = await agent.sendHeartbeat(never);
    const error = `Cannot use ${setup.path}/worker.key: no such file; see agent-dir`;
    assert.deepEqual(heartbeat.result, {
      kind: "unreachable",
      url: `https://127.0.0.1:${setup.master.port}/swarm/heartbeat`,
      ...{ httpStatus: null, latencyMs: null, retryAfterMs: null, error },
    });
    assert.deepEqual(heartbeat.certificates, { expiresAt: null, problem: error });
    assert.equal(heartbeat.body.topology?.drift.state, "consistent");
    await Deno.rename(`${setup.path}/elsewhere`, `${setup.path}/worker.key`);
    assert.equal((await agent.sendHeartbeat(never)).result.kind, "delivered");
  }));

Deno.test("Agent.sendHeartbeat() sends in time while the engine hangs", () =>
  withAgent(async (setup, agent) => {
    setup.engine.fault = { kind: "hang" };
    const { result, snapshot } = await agent.sendHeartbeat(never, {
      snapshotSignal: AbortSignal.timeout(200),
    });
    assert.equal(result.kind, "delivered");
    assert.ok(snapshot.observed.kind === "failed");
    assert.match(
      snapshot.observed.error,
      /^Cannot observe Docker at .*: no answer in time; if this continues, restart the engine$/,
    );
  }));

Deno.test("Agent.sendHeartbeat() ends at once when it is aborted", () =>
  withAgent(async (setup, agent) => {
    const abortWhen = async (hangs: () => Promise<unknown>, expected: RegExp) => {
      const controller = new AbortController();
      const heartbeat = agent.sendHeartbeat(controller.signal);
      await hangs();
      const startedAt = performance.now();
      controller.abort(new Error("the agent is stopping"));
      const { result } = await heartbeat;
      assert.ok(performance.now() - startedAt < 2_000);
      assert.match(result.error ?? "", expected);
      return result;
    };
    setup.master.answer = { kind: "hang" };
    const sent = await abortWhen(() => setup.master.nextHeartbeat(), /: the agent is stopping$/);
    assert.notEqual(sent.latencyMs, null);
    setup.engine.fault = { kind: "hang" };
    const { requestCount } = setup.engine;
    const notSent = await abortWhen(async () => {
      while (setup.engine.requestCount === requestCount) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }, /^no time was left to send the heartbeat$/);
    // This does not count as a failure of the master.
    assert.equal(notSent.latencyMs, null);
    assert.equal(setup.master.heartbeatCount, 1);
  }));
