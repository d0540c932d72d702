import assert from "node:assert/strict";
import { AgentSetup, document as oneLan, topologyId } from "../tests/support/agent_setup.ts";
import { type Ended, flagsOf, runOn } from "../tests/support/command_line.ts";
import { container } from "../tests/support/engine/state.ts";
import {
  larger,
  made,
  oneLan as plan,
  previewHash as hash,
  previewOf,
} from "../tests/support/plan.ts";
import { decky, lan, topology } from "../tests/support/topology.ts";
import { findRemovals } from "../topology/changes.ts";
import { versionHash } from "../topology/hash.ts";
import { type Inventory, specLabel, topologyLabel } from "../topology/inventory.ts";
import { parseJson } from "../topology/json.ts";
import { type ContainerRequest, defaultPlanOptions, planTopology } from "../topology/plan.ts";
import { previewJson, previewText } from "./apply.ts";
import type { Terminal } from "./terminal.ts";

const asApplied = made(plan);
const network = asApplied.networks[0]!;
const empty: Inventory = { networks: [], containers: [] };

Deno.test("previewText() lists the objects that would change", () => {
  const { networks, containers } = made(larger);
  const [gate, ssh, http, desk] = containers;
  const labels = new Map([[topologyLabel, "7c9e6679"]]);
  const old = { ...networks[0]!, name: "decnet_t_7c9e6679_old", subnets: [], labels };
  const inventory = {
    networks: [...networks, old],
    containers: [
      gate!,
      { ...ssh!, state: "exited" },
      { ...http!, networkMode: "container:x" },
      { ...desk!, state: "paused" },
      { ...gate!, name: "decnet_t_7c9e6679_gone", labels },
    ],
  };
  assert.equal(
    previewText(previewOf(larger, inventory)),
    `topology 7c9e6679 at ${hash}
network decnet_t_7c9e6679_old          remove: not in the topology
container decnet_t_7c9e6679_gate-ssh   start: stopped
container decnet_t_7c9e6679_gate-http  recreate: ` +
      `does not share the network of decnet_t_7c9e6679_gate
container decnet_t_7c9e6679_desk       unpause: paused
container decnet_t_7c9e6679_gone       remove: not in the topology
6 changes
`,
  );
});

Deno.test("previewText() says that nothing would change, counts one change", async () => {
  const none = await planTopology(topology({}), defaultPlanOptions);
  const nothing = `topology 7c9e6679 at ${hash}\nnothing would change\n`;
  assert.equal(previewText(previewOf(none, empty)), nothing);
  assert.equal(previewText(previewOf(larger, made(larger))), nothing);
  const { networks, containers } = made(larger);
  const one = previewOf(larger, { networks, containers: containers.slice(0, 3) });
  assert.ok(previewText(one).endsWith("\n1 change\n"));
});

Deno.test("previewText() does not take a network for a container of the same name", async () => {
  const plan = await planTopology(
    topology({ lans: [lan("x")], deckies: [decky("x", { addresses: { x: "10.0.0.2" } })] }),
    defaultPlanOptions,
  );
  const whole = made(plan);
  const lines = (inventory: Inventory) => previewText(previewOf(plan, inventory)).split("\n");
  const [network, container] = ["network", "container"].map((type) =>
    new RegExp(`^${type} decnet_t_7c9e6679_x +create: missing$`)
  );
  assert.match(lines(empty)[1]!, network!);
  assert.match(lines(empty)[2]!, container!);
  assert.match(lines({ ...whole, containers: [] })[1]!, container!);
});

Deno.test("previewText() has one line for networks of the same name", () => {
  const { networks: [dmz, office], containers } = made(larger);
  const second = { ...dmz!, id: "2", subnets: ["10.9.0.0/24"] };
  for (const networks of [[second, office!], [dmz!, second, { ...second, id: "3" }, office!]]) {
    const lines = previewText(previewOf(larger, { networks, containers })).split("\n");
    const ofDmz = lines.filter((line) => line.startsWith("network decnet_t_7c9e6679_dmz "));
    assert.equal(ofDmz.length, 1);
    assert.match(ofDmz[0]!, / recreate: /);
  }
});

Deno.test("previewText() ends with obstacles and the conflict", () => {
  const other = "22222222-2222-3333-4444-555555555555";
  const labels = new Map([[topologyLabel, other]]);
  const inventory = { networks: [{ ...network, labels }], containers: [] };
  const removals = findRemovals(
    { topologyId: other, plan: null },
    { networks: [{ ...network, name: "decnet_t_22222222_theirs", labels }], containers: [] },
  );
  const conflict = `agent already has topology '${other}'; cannot apply '${plan.topologyId}'`;
  const preview = previewOf(plan, inventory, {
    removals: { ...removals, obstacles: ["somebody uses network theirs"] },
    conflict,
  });
  const lines = previewText(preview).trimEnd().split("\n");
  assert.match(lines[1]!, /^network decnet_t_22222222_theirs +remove: teardown$/);
  assert.deepEqual(lines.slice(-4), [
    "4 changes",
    `refused: ${conflict}`,
    "obstacle: somebody uses network theirs",
    `obstacle: network ${network.name} exists and does not belong to this topology (driver bridge, ` +
    `10.0.0.0/24, of topology ${other}): tear that one down`,
  ]);
});

Deno.test("previewText() keeps names with line breaks in one line", () => {
  const labels = new Map([[topologyLabel, plan.topologyId]]);
  const nasty = { ...network, name: "decnet_t_11111111_a\nb\x1b[31m", subnets: [], labels };
  const preview = previewOf(plan, { ...asApplied, networks: [network, nasty] });
  const lines = previewText({ ...preview, conflict: "x\ny" }).trimEnd().split("\n");
  assert.ok(
    lines.some((line) => line.startsWith("network decnet_t_11111111_a b [31m ")),
    lines.join("\n"),
  );
  assert.equal(lines.at(-1), "refused: x y");
});

Deno.test("previewJson() has the requests, the changes and the obstacles", () => {
  const [lanPlanned] = plan.networks;
  const [base, service] = plan.containers;
  const labels = new Map([[topologyLabel, "x"]]);
  const removals = findRemovals({ topologyId: "x", plan: null }, {
    networks: [{ ...network, name: "decnet_t_x_theirs", labels }],
    containers: [],
  });
  const preview = previewOf(plan, { networks: made(plan).networks, containers: [] }, {
    removals: { ...removals, obstacles: ["one"] },
    conflict: "two",
  });
  const json = previewJson({ ...preview, changes: { ...preview.changes, obstacles: ["three"] } });
  assert.deepEqual(json, {
    topology_id: plan.topologyId,
    version_hash: hash,
    networks: [{ name: lanPlanned!.name, request: lanPlanned!.request }],
    containers: [
      { name: base!.name, base: null, request: base!.request },
      { name: service!.name, base: base!.name, request: service!.request },
    ],
    changes: [
      { action: "remove", type: "network", name: "decnet_t_x_theirs", reason: "teardown" },
      { action: "create", type: "container", name: base!.name, reason: "missing" },
      { action: "create", type: "container", name: service!.name, reason: "missing" },
    ],
    conflict: "two",
    obstacles: ["one", "three"],
  });
  assert.deepEqual(JSON.parse(JSON.stringify(json)), json);
});

/** Uses a range for benchmarks (RFC 2544), which no interface of this machine has. */
const document = oneLan.replaceAll("10.0.0.", "198.18.7.");
const documentHash = await versionHash(parseJson(document));
const [base, service] = ["debian:bookworm-slim", "decnet/ssh:latest"];

/** Runs `apply --dry-run` and checks that it changes nothing. */
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
  assert.deepEqual([setup.engine.changes, setup.master.heartbeatCount], [[], 0]);
  return ended;
}

Deno.test("run() apply --dry-run lists changes, and ends with 0", async () => {
  await using setup = await AgentSetup.create();
  setup.engine.images = [base, service];
  assert.deepEqual(await dryRun(setup), {
    code: 0,
    stdout: `topology ${topologyId} at ${documentHash}
network decnet_t_11111111_lan-00           create: missing
container decnet_t_11111111_decky-001      create: missing
container decnet_t_11111111_decky-001-ssh  create: missing
3 changes
`,
    stderr: "",
  });
  assert.equal((await dryRun(setup, { flags: ["--hash", documentHash, "--no-wait"] })).code, 0);
  assert.equal((await dryRun(setup, { stdout: () => "no space" })).code, 3);
});

Deno.test("run() apply --dry-run --json prints requests, changes and obstacles", async () => {
  await using setup = await AgentSetup.create();
  setup.engine.images = [base];
  const { code, stdout, stderr } = await dryRun(setup, { flags: ["--json"] });
  assert.deepEqual([code, stderr], [2, ""]);
  const { networks, containers, obstacles } = JSON.parse(stdout);
  const { Env, HostConfig } = containers[1].request;
  assert.ok(Env.includes("SSH_ROOT_PASSWORD=•••") && !("hiddenValues" in containers[1]));
  // With the digest of all values, a password that is hidden could be guessed.
  const digests = containers.map((
    { request }: { request: ContainerRequest },
  ) => request.Labels[specLabel]);
  assert.match(digests[0], /^[0-9a-f]{64}$/);
  assert.equal(digests[1], "•••");
  assert.deepEqual(HostConfig.CapAdd, ["NET_BIND_SERVICE"]);
  assert.deepEqual(obstacles, [`missing images: ${service} (docker load -i FILE, or pull them)`]);
  assert.equal(networks[0].request.IPAM.Config[0].Subnet, "198.18.7.0/24");
  const plain = await dryRun(setup);
  assert.deepEqual([plain.code, plain.stderr], [2, ""]);
  assert.ok(plain.stdout.endsWith(`\nobstacle: ${obstacles[0]}\n`), plain.stdout);
});

Deno.test("run() apply --dry-run ends with 3 for a conflict, unless superseding", async () => {
  await using setup = await AgentSetup.create();
  setup.engine.images = [base, service];
  setup.changeStore((store) => store.put("other", "h", "{}"));
  setup.engine.containers = [
    container({ name: "decnet_t_other_theirs", labels: { "decnet.topology.id": "other" } }),
  ];
  const { code, stdout } = await dryRun(setup);
  assert.equal(code, 3);
  const refused = `agent already has topology 'other'; cannot apply '${topologyId}'`;
  assert.ok(stdout.endsWith(`\nrefused: ${refused}\n`), stdout);
  assert.equal(JSON.parse((await dryRun(setup, { flags: ["--json"] })).stdout).conflict, refused);
  const superseding = await dryRun(setup, { flags: ["--supersede=true"] });
  assert.equal(superseding.code, 0);
  assert.match(
    superseding.stdout,
    /\ncontainer decnet_t_other_theirs +remove: teardown\n[^]*\n4 changes\n$/,
  );
});

Deno.test("run() apply --dry-run ends with 3 for an invalid document", async () => {
  await using setup = await AgentSetup.create();
  const cases: [text: string, flags: string[], status: string, message: RegExp][] = [
    ["{}", [], "malformed", /topology/],
    [document.replace('"is_dmz": true', '"is_dmz": false'), [], "invalid", /\[DMZ_MISSING\]/],
    [document, [`--hash=${"0".repeat(64)}`], "invalid", new RegExp(`mismatch.* ${documentHash}`)],
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

Deno.test("run() apply --dry-run ends with 2 when Docker or the store fails", async () => {
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
  assert.match(
    unreadable.stderr,
    /^decnet-agent: .*not a database; the next apply moves it away .*\n$/,
  );
});
