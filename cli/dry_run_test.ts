import assert from "node:assert/strict";
import { AgentSetup, document as oneLan, topologyId } from "../tests/agent_setup.ts";
import { type Ended, flagsOf, runOn } from "../tests/command_line.ts";
import { container } from "../tests/engine/mod.ts";
import { parseJson, versionHash } from "../topology/mod.ts";
import type { Terminal } from "./mod.ts";

/** In a range that is for measurements only: no interface of this machine lies in it. */
const document = oneLan.replaceAll("10.0.0.", "198.18.7.");
const hash = await versionHash(parseJson(document));
const [base, service] = ["debian:bookworm-slim", "decnet/ssh:latest"];
const decky = "decnet_t_11111111_decky-001";

/** Runs `apply --dry-run` and sees that it changes nothing. */
async function dryRun(
  setup: AgentSetup,
  { text = document, flags = [], ...machine }: Partial<Terminal> & {
    text?: string;
    flags?: string[];
  } = {},
): Promise<Ended> {
  const files = () => [...Deno.readDirSync(setup.path)].map(({ name }) => name).sort();
  const store = () => files().includes("topology.db") ? Deno.readFileSync(setup.storePath) : null;
  const before = [files(), store()];
  const ended = await runOn(["apply", "-", "--dry-run", ...flagsOf(setup), ...flags], {
    readInput: () => Promise.resolve(new TextEncoder().encode(text)),
    ...machine,
  });
  assert.deepEqual([files(), store()], before);
  assert.deepEqual([setup.engine.changes, setup.master.beatCount], [[], 0]);
  return ended;
}

Deno.test("run() apply --dry-run prints as a tree what would be made, and ends with 0", async () => {
  await using setup = await AgentSetup.create();
  setup.engine.images = [base, service];
  assert.deepEqual(await dryRun(setup), {
    code: 0,
    stdout: `topology ${topologyId} at ${hash}
├─ network decnet_t_11111111_lan-00 198.18.7.0/24  create: missing
├─ decky ${decky} 198.18.7.2    create: missing
│  └─ ssh decnet/ssh:latest                        create: missing
└─ 3 changes
`,
    stderr: "",
  });
  assert.equal((await dryRun(setup, { flags: ["--hash", hash, "--no-wait"] })).code, 0);
  assert.equal((await dryRun(setup, { stdout: () => "lost" })).code, 3);
});

Deno.test("run() apply --dry-run plans with the images that are configured", async () => {
  await using setup = await AgentSetup.create();
  setup.engine.images = ["b:1", "s-ssh:latest", "own:2"];
  const flags = ["--base-image=b:1", "--service-image=s-{service}"];
  const { code, stdout } = await dryRun(setup, { flags });
  assert.equal(code, 0);
  assert.match(stdout, /\n│ {2}└─ ssh s-ssh +create: missing\n/);
  const own = await dryRun(setup, { flags: ["--base-image=b:1", "--service-image=s,ssh=own:2"] });
  assert.match(own.stdout, /\n│ {2}└─ ssh own:2 +create: missing\n/);
});

Deno.test("run() apply --dry-run --json prints the requests, the changes and what is in the way", async () => {
  await using setup = await AgentSetup.create();
  setup.engine.images = [base];
  const { code, stdout, stderr } = await dryRun(setup, { flags: ["--json"] });
  assert.deepEqual([code, stderr], [2, ""]);
  const { networks, containers, changes, ...rest } = JSON.parse(stdout);
  assert.deepEqual(rest, {
    topology_id: topologyId,
    version_hash: hash,
    conflict: null,
    obstacles: [`images that are not on this host: ${service}`],
  });
  assert.equal(networks[0].request.IPAM.Config[0].Subnet, "198.18.7.0/24");
  assert.deepEqual(containers.map((it: { name: string }) => it.name), [decky, `${decky}-ssh`]);
  assert.deepEqual(changes.at(-1), {
    action: "create",
    type: "container",
    name: `${decky}-ssh`,
    reason: "missing",
  });
});

Deno.test("run() apply --dry-run ends with 2 when something is in the way", async () => {
  await using setup = await AgentSetup.create();
  setup.engine.images = [base, service];
  setup.engine.containers = [container({ name: decky })];
  const { code, stdout, stderr } = await dryRun(setup);
  assert.deepEqual([code, stderr], [2, ""]);
  assert.match(stdout, new RegExp(`\\nin the way: container ${decky} exists and is not of this `));
});

Deno.test("run() apply --dry-run ends with 3 beside another topology, unless that is superseded", async () => {
  await using setup = await AgentSetup.create();
  setup.engine.images = [base, service];
  setup.changeStore((store) => store.put("other", "h", "{}"));
  setup.engine.containers = [
    container({ name: "theirs", labels: { "decnet.topology.id": "other" } }),
  ];
  const { code, stdout } = await dryRun(setup);
  assert.equal(code, 3);
  const refused = `agent already has topology 'other'; cannot apply '${topologyId}'`;
  assert.ok(stdout.endsWith(`\nrefused: ${refused}\n`), stdout);
  assert.equal(JSON.parse((await dryRun(setup, { flags: ["--json"] })).stdout).conflict, refused);
  const superseding = await dryRun(setup, { flags: ["--supersede=true"] });
  assert.equal(superseding.code, 0);
  assert.match(superseding.stdout, /\n├─ container theirs +remove: teardown\n└─ 4 changes\n$/);
});

Deno.test("run() apply --dry-run ends with 3 for a document that would be refused", async () => {
  await using setup = await AgentSetup.create();
  const cases: [text: string, flags: string[], status: string, message: RegExp][] = [
    ["{}", [], "malformed", /topology/],
    [document.replace('"is_dmz": true', '"is_dmz": false'), [], "invalid", /\[DMZ_MISSING\]/],
    [document, [`--hash=${"0".repeat(64)}`], "invalid", new RegExp(`mismatch.* ${hash}`)],
  ];
  for (const [text, flags, status, message] of cases) {
    const { code, stdout, stderr } = await dryRun(setup, { text, flags: ["--json", ...flags] });
    assert.equal(code, 3);
    const { error, ...rest } = JSON.parse(stdout);
    assert.deepEqual(rest, { status, exit_code: 3 });
    assert.match(error, message);
    assert.equal(stderr.replace(/:?\n {2}\[/, ": ["), `decnet-agent: ${error}\n`);
    const plain = await dryRun(setup, { text, flags });
    assert.deepEqual(plain, { code: 3, stdout: "", stderr });
  }
  const noJson = await dryRun(setup, { text: "{" });
  assert.deepEqual([noJson.code, noJson.stdout], [3, ""]);
  assert.match(noJson.stderr, /^decnet-agent: Cannot read -: .*\n$/);
  assert.equal(setup.engine.requestCount, 0);
});

Deno.test("run() apply --dry-run ends with 2 when Docker does not answer or the store is unreadable", async () => {
  await using setup = await AgentSetup.create();
  setup.engine.fault = { kind: "status", status: 500, message: "boom" };
  const down = await dryRun(setup, { flags: ["--json"] });
  assert.equal(down.code, 2);
  assert.match(down.stderr, /^decnet-agent: .*boom.*\n$/);
  assert.equal(JSON.parse(down.stdout).status, "failed");
  setup.engine.fault = undefined;
  Deno.writeTextFileSync(setup.storePath, "garbage ".repeat(999));
  const unreadable = await dryRun(setup);
  assert.deepEqual([unreadable.code, unreadable.stdout], [2, ""]);
  assert.match(unreadable.stderr, /^decnet-agent: .*not a database.*\n$/);
});
