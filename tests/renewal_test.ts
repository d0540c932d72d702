import assert from "node:assert/strict";
import { withAgent } from "./agent_setup.ts";
import { authority, rogueAuthority } from "./master_setup.ts";

const dayMs = 24 * 60 * 60 * 1000;
const never = new AbortController().signal;

Deno.test("Agent.beat() shows a new certificate at the next beat", async () => {
  await withAgent(async (setup, agent) => {
    await agent.beat(never);
    await setup.writeCertificates("renewed");
    await agent.beat(never);
    await agent.beat(never);
    const names = setup.master.beats.map(({ clientCommonName }) => clientCommonName);
    assert.deepEqual(names, ["worker-1", "renewed", "renewed"]);
    assert.equal(setup.master.connectionCount, 2);
  });
});

Deno.test("Agent.beat() stays with the old certificate while the new pair is of no use, and says so", async () => {
  await withAgent(async (setup, agent) => {
    await agent.beat(never);
    const { certificatePem } = await authority.issue({ commonName: "renewed", usage: "client" });
    const problems: (string | null | undefined)[] = [];
    for (const half of [certificatePem.slice(0, 200), certificatePem]) {
      await Deno.writeTextFile(`${setup.path}/worker.crt`, half);
      const { delivery, certificates } = await agent.beat(never);
      assert.equal(delivery.result, "delivered");
      problems.push(certificates?.problem);
    }
    await setup.writeCertificates("renewed");
    problems.push((await agent.beat(never)).certificates?.problem);
    assert.deepEqual(problems, [
      `Cannot use ${setup.path}/worker.crt: no PEM certificate in it`,
      `Cannot use ${setup.path}: worker.key does not fit worker.crt`,
      null,
    ]);
    const names = setup.master.beats.map(({ clientCommonName }) => clientCommonName);
    assert.deepEqual(names, ["worker-1", "worker-1", "worker-1", "renewed"]);
  });
});

Deno.test("Agent.beat() takes up a new ca.crt, by which the master must then be signed", async () => {
  await withAgent(async (setup, agent) => {
    await agent.beat(never);
    await Deno.writeTextFile(`${setup.path}/ca.crt`, rogueAuthority.certificatePem);
    const { delivery } = await agent.beat(never);
    assert.ok("error" in delivery);
    assert.match(delivery.error ?? "", /not signed by ca\.crt/);
    assert.equal(setup.master.beatCount, 1);
  });
});

Deno.test("Agent.beat() warns from 30 days before a certificate expires", async () => {
  await withAgent(async (setup, agent) => {
    const cases: [days: number, problem: RegExp | null][] = [
      [31, null],
      [29, /^a certificate expires on \d{4}-\d\d-\d\d$/],
      [-1 / 48, /^a certificate has expired on \d{4}-\d\d-\d\d$/],
    ];
    for (const [days, problem] of cases) {
      const notAfter = new Date(Math.floor((Date.now() + days * dayMs) / 1000) * 1000);
      await setup.writeCertificates("worker-1", notAfter);
      const { certificates, delivery } = await agent.beat(never);
      assert.equal(certificates?.expiresAt, notAfter.getTime());
      if (!problem) assert.equal(certificates?.problem, null);
      else assert.match(certificates?.problem ?? "", problem);
      // An expired one is still shown: whether to take it is the master's to say.
      assert.equal(delivery.result, days > 0 ? "delivered" : "unreachable");
    }
  });
});
