import assert from "node:assert/strict";
import { withAgent } from "./agent_setup.ts";

const never = new AbortController().signal;
const hourMs = 60 * 60 * 1000;

Deno.test("Agent.beat() tells that the certificate in use expires also while newer ones are of no use", async () => {
  await withAgent(async (setup, agent) => {
    await setup.writeCertificates("worker-1", new Date(Date.now() + hourMs));
    const before = (await agent.beat(never)).certificates!;
    assert.match(before.problem!, /^worker\.crt expires at \S+Z; renew it$/);
    await Deno.writeTextFile(`${setup.path}/worker.crt`, "cut sh");
    const { delivery, certificates } = await agent.beat(never);
    assert.equal(delivery.result, "delivered");
    assert.equal(
      certificates!.problem,
      `Cannot use ${setup.path}/worker.crt: not valid PEM; openssl x509 or openssl pkey ` +
        `(-inform DER) can write it; of those that stay in use, ${before.problem}`,
    );
    assert.equal(certificates!.expiresAt, before.expiresAt);
  });
});
