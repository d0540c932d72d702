import assert from "node:assert/strict";
import { AgentSetup, document as oneLan, topologyId } from "../tests/agent_setup.ts";
import { flagsOf, runOn } from "../tests/command_line.ts";
import { FileLock } from "../host/mod.ts";
import { parseJson, versionHash } from "../topology/mod.ts";

/** In a range that is for measurements only: no interface of this machine lies in it. */
const document = oneLan.replaceAll("10.0.0.", "198.18.7.");
const hash = await versionHash(parseJson(document));

/** A host with the images of the document. */
async function createHost(): Promise<AgentSetup> {
  const setup = await AgentSetup.create();
  setup.engine.images = ["debian:bookworm-slim", "decnet/ssh:latest"];
  return setup;
}

Deno.test("run() apply --stored applies once more the document that the store holds", async () => {
  await using setup = await createHost();
  setup.changeStore((store) => store.put(topologyId, hash, document));
  const apply = (...flags: string[]) => runOn(["apply", "--stored", ...flags, ...flagsOf(setup)]);
  const preview = await apply("--dry-run");
  assert.equal(preview.code, 0, preview.stderr);
  assert.match(preview.stdout, /\n└─ 3 changes\n$/);
  assert.deepEqual(setup.engine.changes, []);
  const { code, stdout, stderr } = await apply("--json", "--no-wait", `--hash=${hash}`);
  assert.equal(code, 0, stderr);
  const { status, version_hash, changes } = JSON.parse(stdout);
  assert.deepEqual({ status, version_hash, changes }, {
    status: "applied",
    version_hash: hash,
    changes: 3,
  });
  assert.match((await apply()).stdout, /nothing had to change\n$/);
});

Deno.test("run() apply --stored refuses another hash than the one that is asked for", async () => {
  await using setup = await createHost();
  setup.changeStore((store) => store.put(topologyId, hash, document));
  const args = ["apply", "--stored", `--hash=${"0".repeat(64)}`, ...flagsOf(setup)];
  const { code, stderr } = await runOn(args);
  assert.equal(code, 3);
  assert.match(stderr, new RegExp(`version hash mismatch: the document has ${hash}`));
  assert.deepEqual(setup.engine.changes, []);
});

Deno.test("run() apply --stored says that there is nothing to apply, and ends with 3", async () => {
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

Deno.test("run() apply --stored leaves alone what somebody else applied while it waited", async () => {
  await using setup = await createHost();
  setup.changeStore((store) => store.put(topologyId, hash, document));
  const { signal } = new AbortController();
  const lock = await FileLock.acquire(`${setup.path}/apply.lock`, { purpose: "apply x", signal });
  const { promise: waiting, resolve: waits } = Promise.withResolvers<void>();
  const ending = runOn(["apply", "--stored", ...flagsOf(setup)], {
    stderr: (text) => {
      if (text.includes("waiting:")) waits();
    },
  });
  await waiting;
  const newer = document.replaceAll("198.18.7.", "198.18.8.");
  setup.changeStore((store) => store.put(topologyId, "h2", newer));
  lock.release();
  assert.equal((await ending).code, 3);
  assert.deepEqual(setup.engine.changes, []);
});
