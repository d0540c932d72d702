import assert from "node:assert/strict";
import { withAgent } from "./agent_setup.ts";
import { createAuthority } from "./certificates.ts";
import { authority } from "./master_setup.ts";

const never = new AbortController().signal;
const dayMs = 24 * 60 * 60 * 1000;
const fromNow = (days: number) => new Date(Date.now() + days * dayMs);
const old = await authority.issue({
  commonName: "old authority",
  notBefore: fromNow(-90),
  notAfter: fromNow(-1),
});

for (
  const [where, texts] of [
    ["behind", [authority.certificatePem, old.certificatePem]],
    ["before", [old.certificatePem, authority.certificatePem]],
  ] as const
) {
  Deno.test(`Agent.beat() raises no alarm about an expired authority ${where} the one that is in use`, async () => {
    await withAgent(async (setup, agent) => {
      await Deno.writeTextFile(`${setup.path}/ca.crt`, texts.join("\n"));
      const { delivery, certificates } = await agent.beat(never);
      assert.equal(delivery.result, "delivered");
      assert.equal(certificates!.problem, null);
      assert.ok(certificates!.expiresAt! > Date.now());
    });
  });
}

Deno.test("Agent.beat() tells that the only authority has expired", async () => {
  await withAgent(async (setup, agent) => {
    await Deno.writeTextFile(`${setup.path}/ca.crt`, old.certificatePem);
    const { delivery, certificates } = await agent.beat(never);
    assert.equal(delivery.result, "unreachable");
    assert.match(certificates!.problem!, /^ca\.crt has expired at /);
  });
});

Deno.test("Agent.beat() tells that the authority of worker.crt has expired, whatever others there are", async () => {
  const expired = await createAuthority("old authority", fromNow(-1));
  const { certificatePem, keyPem } = await expired.issue({ commonName: "demo-host" });
  await withAgent(async (setup, agent) => {
    const texts = [authority.certificatePem, expired.certificatePem];
    await Deno.writeTextFile(`${setup.path}/ca.crt`, texts.join("\n"));
    await Deno.writeTextFile(`${setup.path}/worker.crt`, certificatePem);
    await Deno.writeTextFile(`${setup.path}/worker.key`, keyPem);
    const { certificates } = await agent.beat(never);
    assert.match(certificates!.problem!, /^ca\.crt has expired at /);
  });
});
