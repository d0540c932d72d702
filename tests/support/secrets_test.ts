import assert from "node:assert/strict";
import { createAuthority } from "./certificates.ts";
import { runOn } from "./command_line.ts";
import { execute, RunningAgent } from "./executable.ts";
import { assertNoSecrets, plantedPassword } from "./secrets.ts";

const told = /a secret was told/;

Deno.test("assertNoSecrets sees a password, and a good part of a test's key", async () => {
  const authority = await createAuthority("an authority");
  const { keyPem } = await authority.issue({ commonName: "a worker" });
  const base64 = keyPem.split("\n").slice(1, -2).join("");
  for (const secret of [plantedPassword, keyPem, base64.slice(60, 100), base64.slice(-40)]) {
    assert.throws(() => assertNoSecrets(`level=info msg="${secret}"`), told);
  }
  assert.equal(assertNoSecrets("DECNET OK - idle"), "DECNET OK - idle");
});

Deno.test("the look-out for secrets stands wherever the agent's words come by", async () => {
  // What is wrong on a command line is repeated, so it would be told.
  await assert.rejects(runOn([plantedPassword]), told);
  await assert.rejects(execute([plantedPassword]), told);
  const agent = new RunningAgent([plantedPassword]);
  await assert.rejects(agent.until(() => false), /The agent ended with 3/);
  await assert.rejects(agent[Symbol.asyncDispose](), told);
});
