// deno-lint-ignore-file no-control-regex

import assert from "node:assert/strict";
import type { Heartbeat } from "../agent/heartbeat.ts";
import { ApplyError } from "../apply/apply_error.ts";
import { HistoryFile } from "../apply/other_topology.ts";
import { AgentSetup, topologyId, versionHash, withAgent } from "../tests/support/agent_setup.ts";
import { flagsOf, runOn } from "../tests/support/command_line.ts";
import { container } from "../tests/support/engine/state.ts";
import {
  applied,
  consistent,
  dockerDown,
  heartbeatWith,
  storeUnreadable,
} from "../tests/support/heartbeat.ts";
import { made } from "../tests/support/plan.ts";
import { readTopology } from "../topology/document.ts";
import { findDrift } from "../topology/drift.ts";
import { parseJson } from "../topology/json.ts";
import { defaultPlanOptions, type Plan, planDocument, planTopology } from "../topology/plan.ts";
import { stateText } from "./state.ts";

Deno.test("run() state prints colours on a terminal only, unless NO_COLOR", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  setup.engine.containers = setup.engine.containers.filter(({ Names }) => {
    return !Names[0]!.endsWith("-ssh");
  });
  const flags = flagsOf(setup, { master: false });
  const cases: [isTerminal: boolean, variables: Record<string, string>, note: string][] = [
    [false, {}, "missing"],
    [true, {}, "\x1b[31mmissing\x1b[0m"],
    [true, { TERM: "xterm", NO_COLOR: "" }, "\x1b[31mmissing\x1b[0m"],
    [true, { TERM: "dumb" }, "missing"],
    [true, { TERM: "xterm", NO_COLOR: "0" }, "missing"],
  ];
  for (const [isTerminal, variables, note] of cases) {
    const { code, stdout } = await runOn(["state", ...flags], {
      stdoutIsTerminal: () => isTerminal,
      variable: (name) => variables[name],
    });
    assert.equal(code, 1);
    assert.ok(stdout.endsWith(`\n      └─ ssh  decnet/ssh:latest  ${note}\n`), stdout);
  }
  const json = await runOn(["state", "--json", ...flags], { stdoutIsTerminal: () => true });
  assert.equal(JSON.parse(json.stdout).drift.missing.length, 1);
});

Deno.test("run() state and --once say that a push was refused", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  const error = new ApplyError("conflict", "it is \x1b[31mhere");
  new HistoryFile(setup.storePath).recordRefused(topologyId, "B", error);
  const flags = flagsOf(setup, { master: false });
  const said = "it is  [31mhere";
  const [text, json, once] = await Promise.all([
    runOn(["state", ...flags], { stdoutIsTerminal: () => true }),
    runOn(["state", "--json", ...flags]),
    runOn(["--once", ...flags]),
  ]);
  assert.deepEqual([text.code, json.code, once.code], [1, 1, 1]);
  assert.ok(text.stdout.includes(`\x1b[33mrefused push  ${said}`), text.stdout);
  assert.equal(JSON.parse(json.stdout).topology_id, topologyId);
  assert.equal(json.stderr, `decnet-agent: a push was refused: ${said}\n`);
  assert.ok(once.stdout.startsWith(`DECNET WARNING - a push was refused: ${said} | `), once.stdout);
  setup.changeStore((store) => store.clear(topologyId));
  assert.doesNotMatch((await runOn(["--once", ...flags])).stdout, /refused/);
});

Deno.test("run() state prints what is applied, what runs, and the differences", async () => {
  await using setup = await AgentSetup.create();
  const state = () => runOn(["state", ...flagsOf(setup, { publish: "0.0.0.0" })]);
  assert.deepEqual(await state(), {
    code: 0,
    stdout: "topology      none (idle)\ndocker        0 networks and 0 containers run\n" +
      "drift         consistent\n",
    stderr: "",
  });
  setup.apply();
  setup.changeStore((store) => store.recordError(topologyId, "line\n\x1b[31mbreak"));
  setup.engine.containers = [container({ name: "decnet-x" })];
  const { code, stdout } = await state();
  assert.equal(code, 1);
  assert.equal(
    stdout,
    `topology      ${topologyId}
hash          ${versionHash}
applied       2023-11-14T22:13:20.000Z
last error    line [31mbreak
docker        1 network and 1 container run
drift         drifted: 2 missing, 1 unexpected

decnet_t_11111111_…
└─ lan-00  10.0.0.0/24  DMZ
   └─ decky-001  10.0.0.2  missing
      └─ ssh  decnet/ssh:latest  missing

not of the topology
└─ container decnet-x  unexpected (running)
`,
  );
  assert.equal(setup.master.connectionCount, 0);
  // Not what is planned, but what the engine has opened.
  const base = container({ name: "decnet_t_11111111_decky-001" });
  const ports = [161, 22].map((PublicPort) => ({ PublicPort, PrivatePort: 1, Type: "tcp" }));
  setup.engine.containers = [base];
  assert.doesNotMatch((await state()).stdout, /publishes/);
  setup.engine.containers = [{ ...base, Ports: ports }];
  assert.match((await state()).stdout, / decky-001 .* {2}publishes 22\/tcp 161\/tcp/);
});

Deno.test("run() state --json prints the topology of the heartbeat", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  const { code, stdout } = await runOn(["state", "--json", ...flagsOf(setup)]);
  assert.equal(code, 0);
  await runOn(["--once", ...flagsOf(setup)]);
  assert.deepEqual(
    JSON.parse(stdout),
    (setup.master.heartbeats[0]!.body as { topology: unknown }).topology,
  );
});

Deno.test("run() --once and state print, and send, at most 1 MiB of JSON", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  const count = 9_000;
  setup.engine.containers = Array.from({ length: count }, (_, index) => {
    return container({ name: `decnet-${index}-${"x".repeat(40)}` });
  });
  const once = await runOn(["--once", "--json", ...flagsOf(setup)]);
  const state = await runOn(["state", "--json", ...flagsOf(setup)]);
  const sent = JSON.stringify(setup.master.heartbeats[0]!.body);
  const topologies = [JSON.parse(sent), JSON.parse(once.stdout)].map(({ topology }) => topology);
  topologies.push(JSON.parse(state.stdout));
  for (const text of [sent, once.stdout, state.stdout]) {
    assert.ok(text.length <= 2 ** 20 && text.length > 2 ** 20 - 1_000, String(text.length));
  }
  for (const { topology_id, applied_version_hash, observed, drift } of topologies) {
    assert.deepEqual([topology_id, applied_version_hash], [topologyId, versionHash]);
    assert.equal(observed.containers.length + (observed.omitted?.containers ?? 0), count);
    assert.equal(drift.unexpected.length + drift.omitted.unexpected, count);
  }
  assert.match(once.stdout, /and 8997 more/);
});

Deno.test("run() state reports Docker or a store that cannot be read", async () => {
  await using setup = await AgentSetup.create();
  setup.apply();
  setup.engine.fault = { kind: "status", status: 500, message: "boom" };
  const down = await runOn(["state", ...flagsOf(setup)]);
  assert.equal(down.code, 2);
  assert.match(down.stdout, /\ndocker {8}Cannot observe Docker .*boom.*\ndrift {9}unknown: /);
  await Deno.writeTextFile(setup.storePath, "garbage ".repeat(999));
  const unreadable = await runOn(["state", "--json", ...flagsOf(setup)]);
  assert.deepEqual([unreadable.code, unreadable.stdout], [3, "null\n"]);
  assert.match(unreadable.stderr, /^decnet-agent: Cannot read the store .*not a database\n$/);
});

const storedId = "5e1f0a3c-6d2b-4c8e-9a71-3b0d5c7e2f14";
const document = JSON.stringify({
  topology: { id: storedId, name: "sample" },
  lans: [
    { name: "dmz", subnet: "10.0.0.0/24", is_dmz: true },
    { name: "Office", subnet: "10.0.1.0/24", is_dmz: false },
  ],
  deckies: [
    decky("gate", { dmz: "10.0.0.2", Office: "10.0.1.2" }, ["ssh", "http"]),
    decky("desk", { Office: "10.0.1.3" }, []),
    decky("lost", {}, []),
  ],
});
const plan = await planTopology(readTopology(parseJson(document)), defaultPlanOptions);
const whole = made(plan);
const store = { kind: "ok", applied: { ...applied, topologyId: storedId, document } } as const;
const observed = {
  kind: "listed",
  bridges: ["n1", "n2"],
  containers: ["c1"],
  published: new Map([["decnet_t_5e1f0a3c_gate", ["22/tcp", "80/tcp", "443/tcp"] as const]]),
} as const;

function decky(name: string, ips_by_lan: Record<string, string>, services: string[]) {
  const decky_config = { name, ips_by_lan, forwards_l3: name === "gate", service_config: {} };
  return { uuid: name, name, services, decky_config };
}

/** Returns a heartbeat with objects that differ from the topology, and an unexpected container. */
function drifted(detail = ""): Heartbeat {
  const [dmz, office] = whole.networks;
  const inventory = {
    networks: [dmz!, { ...office!, internal: false }],
    containers: [
      ...whole.containers.filter(({ name }) => !/-ssh|desk/.test(name)).map((it) => ({
        ...it,
        state: it.name.endsWith("-http")
          ? "exited"
          : it.name.endsWith("gate")
          ? "paused"
          : it.state,
      })),
      { ...whole.containers[0]!, name: `decnet-x${detail}`, labels: new Map() },
    ],
  };
  return heartbeatWith({ snapshot: { store, observed, drift: findDrift(plan, inventory) } });
}

/** Formats a heartbeat with the plan of its document. */
const format = (heartbeat: Heartbeat, isColoured = false, its: Plan | null = plan) =>
  stateText({ heartbeat, report: null }, its, isColoured);

/** Returns the lines below the first empty line. */
const treeOf = (text: string) => text.slice(text.indexOf("\n\n") + 2).split("\n").slice(0, -1);
const plain = (text: string) => text.replaceAll(/\x1b\[\d+m/g, "");

Deno.test("stateText() draws LANs, deckies and services", () => {
  const heartbeat = heartbeatWith({ snapshot: { store, observed } });
  assert.equal(
    format(heartbeat),
    `topology      ${storedId}
hash          0123456789abcdef
applied       2023-11-14T22:13:20.000Z
docker        2 networks and 1 container run
drift         consistent

decnet_t_5e1f0a3c_…
├─ dmz     10.0.0.0/24  DMZ
│  └─ gate  10.0.0.2  publishes 22/tcp 80/tcp 443/tcp
│     ├─ ssh   decnet/ssh:latest
│     └─ http  decnet/http:latest
├─ office  10.0.1.0/24  internal
│  ├─ gate  10.0.1.2  services: see dmz
│  └─ desk  10.0.1.3
└─ lost    on no LAN
`,
  );
});

Deno.test("stateText() shows how each object differs", () => {
  const text = format(drifted());
  assert.match(
    text,
    /\ndrift {9}drifted: 2 missing, 1 stopped, 1 unhealthy, 1 changed, 1 unexpected\n/,
  );
  assert.deepEqual(treeOf(text), [
    "decnet_t_5e1f0a3c_…",
    "├─ dmz     10.0.0.0/24  DMZ",
    "│  └─ gate  10.0.0.2  publishes 22/tcp 80/tcp 443/tcp  unhealthy (paused)",
    "│     ├─ ssh   decnet/ssh:latest  missing",
    "│     └─ http  decnet/http:latest  stopped (exited)",
    "├─ office  10.0.1.0/24  internal  changed (not internal)",
    "│  ├─ gate  10.0.1.2  services: see dmz  unhealthy (paused)",
    "│  └─ desk  10.0.1.3  missing",
    "└─ lost    on no LAN",
    "",
    "not of the topology",
    "└─ container decnet-x  unexpected (running)",
  ]);
});

Deno.test("stateText() colours differences, if colours are wanted", () => {
  const text = format(drifted(), true);
  assert.ok(text.includes("\x1b[31mmissing\x1b[0m\n") && text.includes("\x1b[31mstopped (exited)"));
  for (const words of ["unhealthy (paused)", "changed (not internal)", "unexpected (running)"]) {
    assert.ok(text.includes(`\x1b[33m${words}\x1b[0m\n`), words);
  }
  const colourless = format(drifted());
  assert.equal(plain(text), colourless);
  assert.doesNotMatch(colourless, /\x1b/);
  const right = heartbeatWith({ snapshot: { store } });
  const green = format(right, true);
  assert.deepEqual(green.match(/\x1b\[\d+m/g), ["\x1b[32m", "\x1b[0m"]);
});

Deno.test("stateText() shows what was applied when the state is unknown", () => {
  const down = format(heartbeatWith({ snapshot: { ...dockerDown, store } }), true);
  assert.match(down, /\x1b\[31mdocker {8}Docker is down\x1b/);
  assert.match(down, /drift {9}unknown: Docker did not answer/);
  assert.equal(treeOf(down).length, 9);
  assert.match(
    format(heartbeatWith({ snapshot: storeUnreadable }), false, null),
    /^store {9}the store is garbage\n(docker .*\n)drift {9}unknown: the store is unreadable\n$/,
  );
});

Deno.test("stateText() without a plan lists what differs", () => {
  const idle = heartbeatWith({ snapshot: { store: { kind: "idle" }, observed } });
  assert.equal(
    format(idle, false, null),
    `topology      none (idle)
docker        2 networks and 1 container run
drift         consistent
`,
  );
  assert.deepEqual(treeOf(format(drifted(), false, null)), [
    "differences",
    "├─ container decnet_t_5e1f0a3c_desk  missing",
    "├─ container decnet_t_5e1f0a3c_gate-ssh  missing",
    "├─ container decnet_t_5e1f0a3c_gate-http  stopped (exited)",
    "├─ container decnet_t_5e1f0a3c_gate  unhealthy (paused)",
    "├─ network decnet_t_5e1f0a3c_office  changed (not internal)",
    "└─ container decnet-x  unexpected (running)",
  ]);
});

Deno.test("stateText() removes control characters from names", async () => {
  const nasty = "a\nb\x1b[31m\x9b2J\u202e";
  const hostile = document.replaceAll('"gate"', JSON.stringify(nasty));
  const unexpected = [{ type: "container", name: nasty, detail: nasty }] as const;
  const heartbeat = heartbeatWith({
    snapshot: {
      store: { ...store, detail: nasty, applied: { ...store.applied, lastError: nasty } },
      observed,
      drift: { ...consistent, state: "drifted", unexpected },
    },
  });
  const text = format(heartbeat, false, await planDocument(hostile, defaultPlanOptions));
  assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
  assert.equal(text.split("\n").length, 21, text);
});

const never = new AbortController().signal;

Deno.test("Agent.state() is the topology of the next heartbeat", () =>
  withAgent(async (setup, agent) => {
    const prepare = [
      () => {},
      () => {
        setup.apply();
        setup.changeStore((store) => store.recordError(topologyId, "no such image"));
        setup.engine.containers = setup.engine.containers.slice(0, 1);
      },
      () => setup.engine.fault = { kind: "status", status: 500, message: "boom" },
    ];
    for (const [index, drift] of ["consistent", "drifted", "unknown"].entries()) {
      prepare[index]!();
      const before = agent.fingerprint(await agent.collector.collect(never));
      const state = (await agent.state(never))!;
      assert.equal(state.drift.state, drift);
      assert.equal(agent.fingerprint(await agent.collector.collect(never)), before);
      assert.equal(setup.master.heartbeatCount, index);
      await agent.sendHeartbeat(never);
      const { topology } = setup.master.heartbeats[index]!.body as { topology: unknown };
      assert.deepEqual(topology, state);
    }
    await Deno.writeTextFile(setup.storePath, "garbage ".repeat(999));
    assert.equal(await agent.state(never), null);
  }));

Deno.test("Agent.state() ends with its signal, and reports why", () =>
  withAgent(async (setup, agent) => {
    setup.engine.fault = { kind: "hang" };
    const late = (await agent.state(AbortSignal.abort(new Error("too late"))))!;
    assert.ok("error" in late.observed);
    assert.match(late.observed.error, /too late/);
  }));

Deno.test("Agent.state() answers many calls at once, beside a heartbeat", () =>
  withAgent(async (setup, agent) => {
    setup.apply();
    setup.engine.latencyMs = 20;
    const [heartbeat, ...states] = await Promise.all([
      agent.sendHeartbeat(never),
      ...Array.from({ length: 10 }, () => agent.state(never)),
    ]);
    assert.equal(heartbeat.result.kind, "delivered");
    for (const state of states) assert.deepEqual(state, heartbeat.body.topology);
    assert.equal(setup.master.heartbeatCount, 1);
  }));
