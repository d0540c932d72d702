import assert from "node:assert/strict";
import { withAgent } from "../support/agent_setup.ts";
import { writeAgentDirectory } from "../support/certificates.ts";
import { authority, rogueAuthority } from "../support/master_setup.ts";

const dayMs = 24 * 60 * 60 * 1000;
const never = new AbortController().signal;

Deno.test("Agent.sendHeartbeat() uses a new certificate for the next heartbeat", async () => {
  await withAgent(async (setup, agent) => {
    await agent.sendHeartbeat(never);
    await setup.writeCertificates("renewed");
    await agent.sendHeartbeat(never);
    await agent.sendHeartbeat(never);
    const names = setup.master.heartbeats.map(({ clientCommonName }) => clientCommonName);
    assert.deepEqual(names, ["worker-1", "renewed", "renewed"]);
    assert.equal(setup.master.connectionCount, 2);
  });
});

Deno.test("Agent.sendHeartbeat() keeps the old certificate if the new is broken", async () => {
  await withAgent(async (setup, agent) => {
    await agent.sendHeartbeat(never);
    const { certificatePem } = await authority.issue({ commonName: "renewed", usage: "client" });
    const problems: (string | null | undefined)[] = [];
    for (const half of [certificatePem.slice(0, 200), certificatePem]) {
      await Deno.writeTextFile(`${setup.path}/worker.crt`, half);
      const { result, certificates } = await agent.sendHeartbeat(never);
      assert.equal(result.kind, "delivered");
      problems.push(certificates?.problem);
    }
    await setup.writeCertificates("renewed");
    problems.push((await agent.sendHeartbeat(never)).certificates?.problem);
    assert.deepEqual(problems, [
      `Cannot use ${setup.path}/worker.crt: not valid PEM; ` +
      "openssl x509 or openssl pkey (-inform DER) can write it",
      `Cannot use ${setup.path}: worker.key does not fit worker.crt; put there what was issued together`,
      null,
    ]);
    const names = setup.master.heartbeats.map(({ clientCommonName }) => clientCommonName);
    assert.deepEqual(names, ["worker-1", "worker-1", "worker-1", "renewed"]);
  });
});

Deno.test("Agent.sendHeartbeat() verifies the master with a new ca.crt", async () => {
  await withAgent(async (setup, agent) => {
    await agent.sendHeartbeat(never);
    await Deno.writeTextFile(`${setup.path}/ca.crt`, rogueAuthority.certificatePem);
    const { result } = await agent.sendHeartbeat(never);
    assert.match(result.error ?? "", /not signed by ca\.crt/);
    assert.equal(setup.master.heartbeatCount, 1);
  });
});

Deno.test("M21 heartbeat warns from 30 days before a certificate expires", async () => {
  await withAgent(async (setup, agent) => {
    const cases: [days: number, problem: (time: string) => RegExp | null][] = [
      [31, () => null],
      [29, (time) => new RegExp(`^worker\\.crt expires on ${time.slice(0, 10)}; renew it$`)],
      [1, (time) => new RegExp(`^worker\\.crt expires at ${time}; renew it$`)],
      [
        -1 / 48,
        (time) =>
          new RegExp(
            `^worker\\.crt has expired at ${time}, and this host's clock says \\S+Z; ` +
              "renew it, or set the clock if it is wrong$",
          ),
      ],
    ];
    for (const [days, problem] of cases) {
      const notAfter = new Date(Math.floor((Date.now() + days * dayMs) / 1000) * 1000);
      await setup.writeCertificates("worker-1", notAfter);
      const { certificates, result } = await agent.sendHeartbeat(never);
      assert.equal(certificates?.expiresAt, notAfter.getTime());
      const expected = problem(timeOf(notAfter));
      if (expected) assert.match(certificates?.problem ?? "", expected);
      else assert.equal(certificates?.problem, null);
      // An expired one is still shown: whether to take it is the master's to say.
      assert.equal(result.kind, days > 0 ? "delivered" : "unreachable");
    }
  });
});

Deno.test("Agent.sendHeartbeat() names ca.crt when that is what expires first", async () => {
  await withAgent(async (setup, agent) => {
    const notAfter = new Date(Date.now() + 7 * dayMs);
    const { certificatePem } = await authority.issue({ commonName: "old", notAfter });
    await Deno.writeTextFile(`${setup.path}/ca.crt`, authority.certificatePem + certificatePem);
    const { certificates, result } = await agent.sendHeartbeat(never);
    assert.equal(certificates?.problem, `ca.crt expires on ${dateOf(notAfter)}; renew it`);
    assert.equal(result.kind, "delivered");
  });
});

Deno.test("Agent.sendHeartbeat() blames the clock for a certificate of the future", async () => {
  await withAgent(async (setup, agent) => {
    const notBefore = new Date(Date.now() + 3 * dayMs);
    // That it is about to expire as well matters less.
    const notAfter = new Date(Date.now() + 5 * dayMs);
    const worker = await authority.issue({ commonName: "early", notBefore, notAfter });
    await writeAgentDirectory(setup.path, authority, worker);
    const { certificates, checkedAt } = await agent.sendHeartbeat(never);
    assert.equal(
      certificates?.problem,
      `worker.crt is not valid before ${timeOf(notBefore)} (then until ${timeOf(notAfter)}), and ` +
        `this host's clock says ${timeOf(new Date(checkedAt))}; set the clock if it is wrong`,
    );
  });
});

function dateOf(time: Date): string {
  return time.toISOString().slice(0, 10);
}

/** To the second, as in certificates. */
function timeOf(time: Date): string {
  return time.toISOString().replace(/\.\d+/, "");
}
