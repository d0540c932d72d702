import assert from "node:assert/strict";
import { FileLock } from "../host/lock.ts";
import { AgentSetup, document, topologyId } from "../tests/support/agent_setup.ts";
import { flagsOf, runOn } from "../tests/support/command_line.ts";
import { versionHash } from "../topology/hash.ts";
import { parseJson } from "../topology/json.ts";

const readInput = () => Promise.resolve(new TextEncoder().encode(document));
const conflict =
  "nothing was changed; remove that topology first (decnet-agent teardown ID), or set supersede";
const busy = "nothing was changed; run it again later, or without --no-wait";
const failed = "fix this, then run the same command again; correct objects are not touched";

/** Runs an apply that fails; returns what it prints after the error, without its progress. */
async function adviceAfter(setup: AgentSetup, ...flags: string[]): Promise<string[]> {
  const args = ["apply", "-", "--json", ...flagsOf(setup, { master: false }), ...flags];
  const { code, stdout, stderr } = await runOn(args, { readInput });
  assert.ok(code >= 2, stdout);
  const lines = stderr.trimEnd().split("\n").filter((line) => !line.startsWith("["));
  assert.equal(`decnet-agent: ${JSON.parse(stdout).error}`, lines[0]);
  return lines.slice(1);
}

Deno.test("run() apply says what to do after each error", async () => {
  await using setup = await AgentSetup.create();
  assert.deepEqual(await adviceAfter(setup), [`decnet-agent: ${failed}`]);
  assert.deepEqual(await adviceAfter(setup, `--hash=${"0".repeat(64)}`), []);
  setup.changeStore((store) => store.clear(topologyId));
  setup.changeStore((store) => store.put("other", "h", "{}"));
  assert.deepEqual(await adviceAfter(setup), [`decnet-agent: ${conflict}`]);
  const lock = await FileLock.acquire(`${setup.path}/apply.lock`, { purpose: "apply x" });
  assert.deepEqual(await adviceAfter(setup, "--no-wait"), [`decnet-agent: ${busy}`]);
  lock.release();
});

/** Uses a range for benchmarks (RFC 2544), which no interface of this machine has. */
const stored = document.replaceAll("10.0.0.", "198.18.7.");
const hash = await versionHash(parseJson(stored));

/** A host with the images of the document. */
async function createHost(): Promise<AgentSetup> {
  const setup = await AgentSetup.create();
  setup.engine.images = ["debian:bookworm-slim", "decnet/ssh:latest"];
  return setup;
}

Deno.test("run() apply --stored applies the stored document again", async () => {
  await using setup = await createHost();
  setup.changeStore((store) => store.put(topologyId, hash, stored));
  const apply = (...flags: string[]) => runOn(["apply", "--stored", ...flags, ...flagsOf(setup)]);
  const refused = await apply(`--hash=${"0".repeat(64)}`);
  assert.equal(refused.code, 3);
  assert.match(refused.stderr, new RegExp(`version hash mismatch: the document has ${hash}`));
  const preview = await apply("--dry-run");
  assert.equal(preview.code, 0, preview.stderr);
  assert.match(preview.stdout, /\n3 changes\n$/);
  assert.deepEqual(setup.engine.changes, []);
  const { code, stdout, stderr } = await apply("--json", "--no-wait", `--hash=${hash}`);
  assert.equal(code, 0, stderr);
  const { status, version_hash, changes } = JSON.parse(stdout);
  assert.deepEqual({ status, version_hash, changes }, {
    status: "applied",
    version_hash: hash,
    changes: 3,
  });
  assert.match((await apply()).stdout, /applied: no changes were necessary\n$/);
});

Deno.test("run() apply --stored takes over a changed services file", async () => {
  await using setup = await createHost();
  setup.changeStore((store) => store.put(topologyId, hash, stored));
  const run = (file: string, ...args: string[]) =>
    runOn([...args, ...flagsOf(setup, { master: false }), "--services=/s.json"], {
      readFile: (path) => path === "/s.json" ? file : null,
    });
  const [before, after] = ["{}", '{"ssh": {"environment": {"SSH_BANNER": {"value": "new"}}}}'];
  await run(before, "apply", "--stored");
  assert.match((await run(before, "--once")).stdout, /^DECNET OK - /);
  const changed = await run(after, "--once");
  assert.equal(changed.code, 1);
  assert.match(
    changed.stdout,
    / - changed \S+_decky-001-ssh \(made from another specification; apply --stored makes it as configured\) \|/,
  );
  const { stderr } = await run(after, "apply", "--stored");
  assert.match(stderr, /^\[1\/2\] remove container \S+-ssh\n\[2\/2\] create container \S+-ssh\n/);
  assert.equal((await run(after, "--once")).code, 0);
});

Deno.test("run() apply --stored ends with 3 when nothing is stored", async () => {
  await using setup = await createHost();
  const apply = (...flags: string[]) => runOn(["apply", "--stored", ...flags, ...flagsOf(setup)]);
  const { storePath } = setup;
  const nothing = `nothing is applied according to ${storePath}; apply a topology from its file`;
  for (const flags of [[], ["--dry-run"]]) {
    const ended = await apply(...flags);
    assert.deepEqual(ended, { code: 3, stdout: "", stderr: `decnet-agent: ${nothing}\n` });
  }
  setup.changeStore((store) => store.recordError("A", "no space"));
  assert.deepEqual(await apply(), {
    code: 3,
    stdout: "",
    stderr: `decnet-agent: the store ${storePath} holds no document of topology A; apply it from ` +
      "its file, or wait for the master\n",
  });
  Deno.writeTextFileSync(storePath, "garbage ".repeat(999));
  const damaged = await apply();
  assert.equal(damaged.code, 3);
  assert.match(damaged.stderr, /^decnet-agent: Cannot read the store .*: file is not a database/);
  assert.deepEqual(setup.engine.changes, []);
});

Deno.test("run() apply --stored refuses when the store has changed meanwhile", async () => {
  await using setup = await createHost();
  setup.changeStore((store) => store.put(topologyId, hash, stored));
  const lock = await FileLock.acquire(`${setup.path}/apply.lock`, { purpose: "\x1b[2Jx" });
  const { promise: waiting, resolve: waits } = Promise.withResolvers<void>();
  let output = "";
  const ending = runOn(["apply", "--stored", ...flagsOf(setup)], {
    stderr: (text) => {
      output += text;
      if (text.includes("waiting:")) waits();
    },
  });
  await waiting;
  const newer = stored.replaceAll("198.18.7.", "198.18.8.");
  setup.changeStore((store) => store.put(topologyId, "h2", newer));
  lock.release();
  assert.equal((await ending).code, 3);
  assert.match(
    output,
    /^waiting: another apply or teardown is running, by process .* for {2}\[2Jx\n/,
  );
  assert.match(output, /decnet-agent: nothing was changed; run it again later\n$/);
  assert.deepEqual(setup.engine.changes, []);
});

Deno.test("run() apply says no more than that it was interrupted", async () => {
  await using setup = await createHost();
  const stop = new AbortController();
  let output = "";
  const { code } = await runOn(["apply", "-", ...flagsOf(setup, { master: false })], {
    readInput: () => Promise.resolve(new TextEncoder().encode(stored)),
    stopSignal: () => stop.signal,
    stderr: (text) => {
      output += text;
      stop.abort();
    },
  });
  assert.equal(code, 2);
  assert.match(
    output,
    /^\[1\/3\] .*\ndecnet-agent: interrupted by a signal; apply it again or tear it down\n$/,
  );
});
