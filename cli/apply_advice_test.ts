import assert from "node:assert/strict";
import { AgentSetup, document, topologyId } from "../tests/agent_setup.ts";
import { flagsOf, runOn } from "../tests/command_line.ts";
import { FileLock } from "../host/mod.ts";

const readInput = () => Promise.resolve(new TextEncoder().encode(document));
const conflict =
  "nothing was changed; take that one down first (decnet-agent teardown ID), or set supersede";
const busy = "nothing was changed; run it again later, or without --no-wait";
const failed = "when that is mended, run it again: what is right already is left alone";

/** What an apply prints on standard error, without what it prints of its steps. */
async function told(setup: AgentSetup, ...flags: string[]): Promise<string[]> {
  const args = ["apply", "-", "--json", ...flagsOf(setup, { master: false }), ...flags];
  const { code, stdout, stderr } = await runOn(args, { readInput });
  assert.ok(code >= 2, stdout);
  const lines = stderr.trimEnd().split("\n").filter((line) => !line.startsWith("["));
  assert.equal(`decnet-agent: ${JSON.parse(stdout).error}`, lines[0]);
  return lines.slice(1);
}

Deno.test("run() apply says what to do about another topology", async () => {
  await using setup = await AgentSetup.create();
  setup.changeStore((store) => store.put("other", "h", "{}"));
  assert.deepEqual(await told(setup), [`decnet-agent: ${conflict}`]);
});

Deno.test("run() apply --no-wait says what to do about another one under way", async () => {
  await using setup = await AgentSetup.create();
  const path = `${setup.path}/apply.lock`;
  const { signal } = new AbortController();
  const lock = await FileLock.acquire(path, { purpose: `apply ${topologyId}`, signal });
  assert.deepEqual(await told(setup, "--no-wait"), [`decnet-agent: ${busy}`]);
  lock.release();
});

Deno.test("run() apply says what to do after a failure, and nothing more of a wrong document", async () => {
  await using setup = await AgentSetup.create();
  assert.deepEqual(await told(setup), [`decnet-agent: ${failed}`]);
  assert.deepEqual(await told(setup, `--hash=${"0".repeat(64)}`), []);
});
