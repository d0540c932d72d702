import assert from "node:assert/strict";
import type { Heartbeat } from "../agent/heartbeat.ts";
import type { HostSnapshot } from "../agent/snapshot.ts";
import { AgentSetup, topologyId, versionHash } from "../tests/support/agent_setup.ts";
import { flagsOf, runOn } from "../tests/support/command_line.ts";
import {
  applied,
  consistent,
  dockerDown,
  heartbeatWith,
  sendResults,
  storeUnreadable,
} from "../tests/support/heartbeat.ts";
import { readPluginOutput } from "../tests/support/plugin_output.ts";
import { driftKinds } from "../topology/drift.ts";
import { failureText, findingsOf, onceText, worst } from "./report.ts";
import manifest from "../deno.json" with { type: "json" };

type Sample = Parameters<typeof heartbeatWith>[0];

const drifted = {
  ...consistent,
  state: "drifted",
  stopped: [{ type: "container", name: "c", detail: "exited" }],
} as const;
const store = (change: Partial<typeof applied>, detail?: string) =>
  ({ kind: "ok", applied: { ...applied, ...change }, ...(detail && { detail }) }) as const;

const refused = {
  code: "conflict",
  keptId: "A",
  refusedId: "B",
  detail: "A is here",
  at: 0,
} as const;

Deno.test("findingsOf() gives each finding its code", () => {
  const idle = { kind: "idle" } as const;
  const noDocument = { state: "unknown", detail: "the store holds no document" } as const;
  const failed = "the last apply or teardown failed: ";
  const missing = { expiresAt: null, problem: "no worker.crt" };
  const cases: [what: string, sample: Sample, code?: number, text?: string][] = [
    ["all is well", {}],
    ["idle", { snapshot: { store: idle } }],
    ["a dry run", { result: sendResults.dryRun }],
    ["no master", { result: sendResults.notConfigured, certificates: null }],
    ["drift", { snapshot: { drift: drifted } }, 1, "stopped c (exited)"],
    ["drift, idle", { snapshot: { store: idle, drift: drifted } }, 1, "stopped c (exited)"],
    ["no document", { snapshot: { drift: noDocument } }, 1, `drift unknown: ${noDocument.detail}`],
    ["an error", { snapshot: { store: store({ lastError: "boom" }) } }, 1, `${failed}boom`],
    ["an empty error", { snapshot: { store: store({ lastError: "" }) } }, 1, failed],
    ["a refused push", { snapshot: { refused } }, 1, `a push was refused: ${refused.detail}`],
    ["a detail of the store", { snapshot: { store: store({}, "moved") } }, 1, "moved"],
    ["a certificate", { certificates: { expiresAt: 1, problem: "expires" } }, 1, "expires"],
    ["Docker down", { snapshot: dockerDown }, 2, "Docker is down"],
    ["the master gone", { result: sendResults.unreachable }, 2, "the master is gone"],
    ["a refusal", { result: sendResults.rejected }, 2, "the master said no"],
    ["no files", { result: sendResults.notSent, certificates: missing }, 3, "no worker.crt"],
    ["no store", { snapshot: storeUnreadable }, 3, "the store is garbage"],
  ];
  for (const [what, sample, ...expected] of cases) {
    const findings = findingsOf(heartbeatWith(sample)).map(({ code, text }) => [code, text]);
    assert.deepEqual(findings, expected.length === 0 ? [] : [expected], what);
  }
});

Deno.test("findingsOf() puts the worst first, worst() returns its code", () => {
  const all = findingsOf(
    heartbeatWith({
      snapshot: { drift: drifted, store: store({ lastError: "boom" }, "moved") },
      result: sendResults.rejected,
      certificates: { expiresAt: 1, problem: "expires soon" },
    }),
    ["key a", "key b"],
  );
  assert.deepEqual(all.map(({ code }) => code), [2, 1, 1, 1, 1, 1, 1]);
  assert.deepEqual(all.slice(-3).map(({ text }) => text), ["stopped c (exited)", "key a", "key b"]);
  assert.equal(worst(all), 2);
  const unreadable = findingsOf(heartbeatWith({
    snapshot: { ...dockerDown, ...storeUnreadable },
    result: sendResults.unreachable,
  }));
  assert.deepEqual(unreadable.map(({ code }) => code), [3, 2, 2]);
  assert.equal(worst(unreadable), 3);
  assert.equal(worst([]), 0);
});

const textOf = (heartbeat: Heartbeat) => onceText(heartbeat, findingsOf(heartbeat));
Deno.test("onceText() is one line with performance data behind a bar", () => {
  const item = (type: "network" | "container", name: string, detail = "") => ({
    type,
    name,
    detail,
  });
  const drift = {
    ...consistent,
    state: "drifted",
    missing: [item("container", "c"), item("network", "n")],
    changed: [item("container", "d", "address")],
  } as const;
  const noContainers = {
    kind: "listed",
    bridges: [],
    containers: [],
    published: new Map(),
  } as const;
  const noMaster = { result: sendResults.notConfigured, certificates: null };
  const applied = "topology topology-1 at 0123456789ab, 2 networks and 1 container run";
  const seen = "networks=2 containers=1";
  const cases: [sample: Sample, line: string][] = [
    [{}, `OK - ${applied}, heartbeat sent | ${seen} drift=0 docker=0.012s master=0.035s`],
    [
      { snapshot: { store: { kind: "idle" }, observed: noContainers }, ...noMaster },
      "OK - idle, 0 networks and 0 containers run, no master configured | " +
      "networks=0 containers=0 drift=0 docker=0.012s",
    ],
    [
      { result: sendResults.dryRun },
      `OK - ${applied}, heartbeat not sent (dry run) | ${seen} drift=0 docker=0.012s`,
    ],
    [
      { snapshot: { drift } },
      `WARNING - missing c, n; changed d (address) | ${seen} drift=3 docker=0.012s master=0.035s`,
    ],
    [
      { snapshot: dockerDown, result: sendResults.unreachable },
      "CRITICAL - Docker is down; the master is gone | master=0.035s",
    ],
    [
      { snapshot: { ...dockerDown, ...storeUnreadable }, result: sendResults.notConfigured },
      "UNKNOWN - the store is garbage; Docker is down",
    ],
    [
      {
        result: sendResults.notSent,
        certificates: { expiresAt: null, problem: "no worker.crt" },
      },
      `UNKNOWN - no worker.crt | ${seen} drift=0 docker=0.012s`,
    ],
  ];
  for (const [sample, line] of cases) assert.equal(textOf(heartbeatWith(sample)), `DECNET ${line}`);
});

const nasty = "a\nb\r\nc'd|e=1;f\x1b[31m\x07\x00\x7f\x85\x9b\u2028\u2029😀 'g'=2s";
const many = Array.from(
  { length: 100 },
  () => ({ type: "container", name: "x".repeat(255), detail: "" }) as const,
);
const lengthen = (difference: (typeof many)[number]) =>
  ({ ...difference, name: "x".repeat(200_000), detail: "y".repeat(200_000) }) as const;
const wide = { type: "network", name: "\u4e00".repeat(250), detail: "" } as const;
const missing = [{ type: "network", name: nasty, detail: nasty }] as const;

const withDrift = (lists: object): HostSnapshot["drift"] => ({
  ...consistent,
  ...lists,
  state: "drifted",
});
const each = (list: readonly object[]) =>
  Object.fromEntries(driftKinds.map((kind) => [kind, list]));
const wides = Array(100).fill(wide);
const unreadable = { kind: "unreadable", detail: nasty, reason: "other" } as const;

const hostile: Record<string, Sample> = {
  "ids of any kind": { snapshot: { store: store({ topologyId: nasty, versionHash: nasty }) } },
  "a recorded error of any kind": { snapshot: { store: store({ lastError: nasty }) } },
  "a certificate of any kind": { certificates: { expiresAt: 1, problem: nasty } },
  "an error of the engine of any kind": {
    snapshot: { observed: { kind: "failed", error: nasty }, engine: null },
  },
  "an error of the store of any kind": { snapshot: { ...storeUnreadable, store: unreadable } },
  "an error of the master of any kind": { result: { ...sendResults.rejected, error: nasty } },
  "drift with names of any kind": { snapshot: { drift: withDrift({ missing }) } },
  "much drift": { snapshot: { drift: withDrift(each(many)) } },
  "much drift with long names, and an error": {
    snapshot: {
      store: store({ lastError: "z".repeat(500) }),
      drift: withDrift(each(many.map(lengthen))),
    },
  },
  "much drift with names of wide characters": {
    snapshot: { drift: withDrift({ missing: wides, unexpected: wides }) },
  },
  "nothing that answers": {
    snapshot: { ...dockerDown, ...storeUnreadable },
    result: sendResults.unreachable,
  },
};

Deno.test("onceText() keeps to the guidelines for plugins with hostile strings", () => {
  for (const [what, sample] of Object.entries(hostile)) {
    const line = textOf(heartbeatWith(sample));
    const { service, text } = readPluginOutput(`${line}\n`);
    assert.equal(service, "DECNET", what);
    if (what.endsWith("of any kind")) assert.match(text, /a b c'd\/e=1;f/, what);
  }
  assert.deepEqual(readPluginOutput(`${failureText(nasty)}\n`).figures, []);
});

Deno.test("--once --json prints the fields of docs/output.md", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  const { stdout } = await runOn(["--once", "--json", ...flagsOf(setup)]);
  const result = JSON.parse(stdout);
  const { checked_at: checkedAt, docker, master, certificates, ...rest } = result;
  assert.deepEqual(Object.keys(result), [
    ...["status", "exit_code", "summary", "agent_version", "host_uuid", "checked_at"],
    ...["topology", "drift", "store", "docker", "master", "certificates"],
  ]);
  const { topology } = setup.master.heartbeats[0]!.body as { topology: { drift: unknown } };
  assert.deepEqual(rest, {
    status: "OK",
    exit_code: 0,
    summary:
      `topology ${topologyId} at ${versionHash.slice(0, 12)}, 1 network and 2 containers run, ` +
      "heartbeat sent",
    agent_version: manifest.version,
    host_uuid: "host-1",
    topology,
    drift: topology.drift,
    store: { path: setup.storePath, state: "ok" },
  });
  assert.equal(new Date(checkedAt).toISOString(), checkedAt);
  const { latency_ms: dockerMs, ...dockerRest } = docker;
  assert.deepEqual(dockerRest, {
    host: `unix://${setup.engine.socketPath}`,
    version: "20.10.24",
    api_version: "1.41",
  });
  const { latency_ms: masterMs, ...masterRest } = master;
  const url = `https://127.0.0.1:${setup.port}/swarm/heartbeat`;
  assert.deepEqual(masterRest, { url, result: "delivered", http_status: 204 });
  assert.ok(dockerMs > 0 && masterMs > 0);
  assert.equal(certificates.problem, null);
  assert.ok(Date.parse(certificates.expires_at) > Date.now());
});

Deno.test("--once --json prints each result of sending", async () => {
  await using setup = await AgentSetup.create();
  const masterOf = async (...flags: string[]) => {
    const { stdout } = await runOn(["--once", "--json", ...flags]);
    const { latency_ms: latencyMs, ...rest } = JSON.parse(stdout).master;
    return { ...rest, wasSent: latencyMs !== null };
  };
  const url = `https://127.0.0.1:${setup.port}/swarm/heartbeat`;
  const noStatus = { http_status: null, wasSent: false };
  const none = await masterOf(...flagsOf(setup, { master: false }));
  assert.deepEqual(none, { url: null, result: "not_configured", ...noStatus });
  const dryRun = await masterOf("--dry-run", ...flagsOf(setup));
  assert.deepEqual(dryRun, { url, result: "dry_run", ...noStatus });
  setup.master.answer = { status: 403 };
  const { error: refusal, ...rejected } = await masterOf(...flagsOf(setup));
  assert.deepEqual(rejected, { url, result: "rejected", http_status: 403, wasSent: true });
  assert.match(refusal, /^the master answered 403: worker\.crt is not the certificate pinned to /);
  await setup.master.stop();
  const { error: problem, ...unreachable } = await masterOf(...flagsOf(setup));
  assert.deepEqual(unreachable, { url, result: "unreachable", ...noStatus, wasSent: true });
  assert.match(
    problem,
    /^Cannot reach the master at 127\.0\.0\.1:\d+: connection refused; start it, or see swarmctl-port$/,
  );
  await Deno.remove(`${setup.path}/worker.key`);
  const error = `Cannot use ${setup.path}/worker.key: no such file; see agent-dir`;
  const notSent = await masterOf(...flagsOf(setup));
  assert.deepEqual(notSent, { url, result: "unreachable", ...noStatus, error });
});

Deno.test("--once --json prints the errors of Docker and the store", async () => {
  await using setup = await AgentSetup.create();
  await Deno.writeTextFile(setup.storePath, "garbage ".repeat(999));
  await setup.engine.stop();
  const { stdout } = await runOn(["--once", "--json", ...flagsOf(setup, { master: false })]);
  const { topology, drift, store, docker, certificates } = JSON.parse(stdout);
  assert.deepEqual([topology, drift, certificates], [null, null, null]);
  const detail = `Cannot read the store ${setup.storePath}: file is not a database`;
  assert.deepEqual(store, { path: setup.storePath, state: "unreadable", detail });
  assert.deepEqual(Object.keys(docker), ["host", "error"]);
  assert.match(docker.error, /^Cannot observe Docker/);
});
