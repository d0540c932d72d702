import assert from "node:assert/strict";
import { consistent } from "../tests/support/heartbeat.ts";
import {
  changesOf,
  containerOf,
  driftOf,
  full,
  id,
  idle,
  inventory,
  labelledFor,
  made,
  networkOf,
  ofAnother,
  type Otherwise,
  plan,
  plannedContainer,
  plannedNetwork,
  relabelled,
  unlabelled,
} from "../tests/support/plan.ts";
import { findDrift, isOurContainer, isOurNetwork, needsSecondLook } from "./drift.ts";
import { type ContainerInfo, type NetworkInfo, specLabel } from "./inventory.ts";

const [dmz, web, ssh] = [networkOf("dmz"), containerOf("web"), containerOf("web-ssh")];
const nothing = { networks: [], containers: [] };

function assertDrift(cases: readonly (readonly [Otherwise, lines: readonly string[]])[]): void {
  for (const [otherwise, lines] of cases) {
    assert.deepEqual(driftOf(inventory(otherwise)), lines, JSON.stringify(otherwise));
  }
}

const otherSpec = "made from another specification; apply --stored makes it as configured";

Deno.test("findDrift() finds nothing when all is as applied", () => {
  assert.deepEqual(findDrift(plan, made(plan)), consistent);
  assert.equal(findDrift(null, nothing).state, "consistent");
  assert.equal(findDrift(null, made(plan)).state, "drifted");
  // Without our label, another program made them for the same topology.
  assertDrift([[{ dmz: unlabelled, web: unlabelled, "web-ssh": unlabelled }, []]]);
});

Deno.test("findDrift() finds planned names of another topology", () => {
  // Names contain only the first eight characters of an id.
  const foreign = labelledFor(`${id}-9999`);
  const detail = `of topology ${id}-9999`;
  assertDrift([
    [{ web: foreign }, [`changed container web: ${detail}`]],
    // The label has precedence over other differences, except the state.
    [{ dmz: { ...foreign, driver: "macvlan" } }, [`changed network dmz: ${detail}`]],
    [{ web: { ...foreign, unhealthy: true, addressByNetwork: new Map() } }, [
      `changed container web: ${detail}`,
    ]],
    [{ web: { ...foreign, state: "exited" } }, ["stopped container web: exited"]],
  ]);
});

Deno.test("findDrift() finds a changed network", () => {
  const cases: [change: Partial<NetworkInfo>, detail: string][] = [
    [{ driver: "macvlan" }, "driver macvlan, not bridge"],
    [{ subnets: ["10.1.1.0/24"] }, "subnet 10.1.1.0/24, not 10.1.0.0/24"],
    [{ subnets: [] }, "subnet none, not 10.1.0.0/24"],
    [
      { subnets: ["10.1.0.0/24", "10.9.0.0/24"] },
      "subnet 10.1.0.0/24 10.9.0.0/24, not 10.1.0.0/24",
    ],
    [{ internal: true }, "internal"],
    [{ subnets: ["fd00::/64"] }, "subnet fd00::/64, not 10.1.0.0/24"],
    [relabelled("dmz", specLabel, "x"), otherSpec],
  ];
  assertDrift(
    cases.map(([change, detail]) => [{ dmz: change }, [`changed network dmz: ${detail}`]]),
  );
  assertDrift([[{ inner: { internal: false } }, ["changed network inner: not internal"]]]);
});

Deno.test("findDrift() ignores IPv6 pools, which engines may add by themselves", () => {
  for (const subnets of [["10.1.0.0/24", "fd00::/64"], ["fd7c:aaaa:1::/64", "10.1.0.0/24"]]) {
    assertDrift([[{ dmz: { subnets } }, []]]);
    assert.deepEqual(changesOf(inventory({ dmz: { subnets } })), []);
    assert.ok(isOurNetwork(plannedNetwork("dmz"), { ...dmz, ...unlabelled, subnets }, id));
  }
});

Deno.test("findDrift() finds a changed container", () => {
  const [lan, inner] = [[full("dmz"), "10.1.0.5"], [full("inner"), "10.2.0.5"]] as const;
  const cases: [addresses: (readonly [network: string, address: string])[], detail: string][] = [
    [[lan, [inner[0], "10.2.0.9"]], "address 10.2.0.9 on inner, not 10.2.0.5"],
    [[lan, [inner[0], ""]], "address none on inner, not 10.2.0.5"],
    [[], "not attached to dmz"],
    [[lan, ["bridge", "172.17.0.2"]], "not attached to inner"],
    [[lan, inner, ["bridge", "172.17.0.2"]], "attached to bridge"],
  ];
  assertDrift(cases.map(([addresses, detail]) => [
    { web: { addressByNetwork: new Map(addresses) } },
    [`changed container web: ${detail}`],
  ]));
  const notShared = (name: string) =>
    `changed container ${name}: does not share the network of web`;
  assertDrift([
    // The base was recreated.
    [{ web: { id: "c".repeat(64) } }, [notShared("web-http"), notShared("web-ssh")]],
    [{ "web-ssh": { networkMode: "default" } }, [notShared("web-ssh")]],
    // Podman keeps the name from the request.
    [{ "web-ssh": { networkMode: `container:${web.name}` } }, []],
    [{ "web-ssh": relabelled("web-ssh", specLabel, "x") }, [
      `changed container web-ssh: ${otherSpec}`,
    ]],
    [{ "web-ssh": { image: "evidence:1", imageId: "sha256:committed" } }, [
      "changed container web-ssh: its labels came with its image",
    ]],
    // Made while the tag came to mean another image.
    [{ "web-ssh": { imageId: "sha256:newer" } }, []],
    [{ "web-ssh": { ...unlabelled, image: "nginx" } }, [
      "changed container web-ssh: image nginx, not decnet/ssh:latest",
    ]],
    // As Podman lists it.
    [{ "web-ssh": { ...unlabelled, image: "docker.io/decnet/ssh:latest" } }, []],
    [{ web: { ...unlabelled, image: "docker.io/library/debian:bookworm-slim" } }, []],
  ]);
});

Deno.test("findDrift() finds what is missing", () => {
  const containers = ["db", "db-sql", "web", "web-http", "web-ssh"];
  assertDrift([
    [{ dmz: null }, ["missing network dmz"]],
    [{ "web-ssh": null }, ["missing container web-ssh"]],
    // Reports the missing base, not its services.
    [{ web: null }, ["missing container web"]],
  ]);
  assert.deepEqual(driftOf(nothing).toSorted(), [
    ...containers.map((name) => `missing container ${name}`),
    ...["dmz", "inner"].map((name) => `missing network ${name}`),
  ]);
});

Deno.test("findDrift() finds containers that do not run or are unhealthy", () => {
  for (const state of ["created", "exited", "removing", "dead", "a word of a newer engine"]) {
    assertDrift([
      [{ web: idle("web", state) }, [`stopped container web: ${state}`]],
      [{ "web-ssh": { state } }, [`stopped container web-ssh: ${state}`]],
    ]);
  }
  assertDrift([
    [{ web: idle("web", "restarting") }, ["unhealthy container web: restarting"]],
    [{ "web-ssh": { state: "paused" } }, ["unhealthy container web-ssh: paused"]],
    [{ "web-ssh": { unhealthy: true } }, ["unhealthy container web-ssh: health check failing"]],
  ]);
});

Deno.test("findDrift() finds unexpected objects, running or not", () => {
  const old = { ...web, name: "decnet-old", ...unlabelled };
  const containers = [{ ...old, state: "exited" }];
  const networks = [{ ...dmz, name: "decnet-lan", ...unlabelled }];
  const [exited, unexpectedLan] = [
    "unexpected container decnet-old: exited",
    "unexpected network decnet-lan",
  ];
  assert.deepEqual(driftOf(inventory({}, { networks, containers })), [unexpectedLan, exited]);
  // An idle host may keep stopped containers, but no networks.
  const onIdleHost = (state: string, labels = unlabelled) =>
    driftOf({ networks, containers: [{ ...old, state, ...labels }] }, null);
  for (const state of ["created", "exited", "removing", "dead"]) {
    assert.deepEqual(onIdleHost(state), [unexpectedLan]);
  }
  for (const state of ["running", "paused", "restarting"]) {
    const line = `unexpected container decnet-old: ${state}`;
    assert.deepEqual(onIdleHost(state), [unexpectedLan, line]);
    assert.deepEqual(onIdleHost(state, ofAnother), [unexpectedLan, `${line}, of topology another`]);
  }
  const emptyPlan = { ...plan, networks: [], containers: [] };
  assert.deepEqual(driftOf({ networks, containers }, emptyPlan), [unexpectedLan, exited]);
});

Deno.test("findDrift() distinguishes a network and a container of one name", () => {
  const name = "decnet-same";
  const more = { networks: [{ ...dmz, name }], containers: [{ ...web, name, ...unlabelled }] };
  assert.deepEqual(driftOf(inventory({}, more)), [
    `unexpected network ${name}: its label names this topology, its name does not`,
    `unexpected container ${name}: running`,
  ]);
  const swapped = inventory({ dmz: { name: web.name }, web: { name: dmz.name } });
  assert.deepEqual(driftOf(swapped), [
    "missing network dmz",
    "missing container web",
    "unexpected container dmz: running, of this topology",
    "unexpected network web: of this topology",
  ]);
});

Deno.test("findDrift() finds a service that runs longer than its base", () => {
  const left = ["web-http", "web-ssh"]
    .map((name) => `changed container ${name}: runs longer than web, whose network it shared`);
  assertDrift([
    [{ web: { uptime: { atLeast: 1, atMost: 2 } } }, left],
    [{ web: { uptime: { atLeast: 0, atMost: 60 } } }, []],
  ]);
});

Deno.test("needsSecondLook() is true only where a restart depends on it", () => {
  const fresh = { uptime: { atLeast: 0, atMost: 1 } };
  const other = relabelled("web-http", specLabel, "x");
  const cases: [Otherwise, boolean][] = [
    [{}, false],
    [{ web: fresh }, true],
    [{ web: fresh, "web-http": { state: "exited", uptime: null } }, true],
    [{ web: fresh, "web-http": other, "web-ssh": fresh }, false],
    [{ web: fresh, "web-http": fresh, "web-ssh": fresh }, false],
    [{ web: { uptime: { atLeast: 1, atMost: 2 } } }, false],
    [{ web: null }, false],
  ];
  for (const [otherwise, needed] of cases) {
    assert.equal(needsSecondLook(plan, inventory(otherwise)), needed, JSON.stringify(otherwise));
  }
});

Deno.test("findDrift() sorts each list by code point", () => {
  const names = ["b", "B", "10", "9", "\u{1f600}", "\uffff"].map((name) => `decnet-${name}`);
  const containers = names.map((name) => ({ ...web, name }));
  const drift = findDrift(null, { networks: [{ ...dmz, name: "decnet-a" }], containers });
  assert.deepEqual(
    drift.unexpected.map(({ name }) => name.replace("decnet-", "")),
    ["10", "9", "B", "a", "b", "\uffff", "\u{1f600}"],
  );
});

Deno.test("findDrift() chooses one of several networks with a planned name", () => {
  const stranger = { ...dmz, id: "0", subnets: ["10.9.0.0/24"], ...unlabelled };
  const ofOther = { ...dmz, id: "f", subnets: ["10.8.0.0/24"], ...ofAnother };
  const changed = { ...dmz, internal: true };
  const unexpected = "unexpected network dmz";
  const cases: [networks: NetworkInfo[], lines: string[]][] = [
    // The one that is as planned, or else ours, or else the one with the first id.
    [[dmz, stranger], [unexpected]],
    [[changed, stranger], ["changed network dmz: internal", unexpected]],
    [[dmz, stranger, ofOther], [unexpected, `${unexpected}: of topology another`]],
    [[stranger, ofOther], [
      "changed network dmz: subnet 10.9.0.0/24, not 10.1.0.0/24",
      `${unexpected}: of topology another`,
    ]],
  ];
  for (const [networks, lines] of cases) {
    for (const order of [networks, networks.toReversed()]) {
      assert.deepEqual(driftOf(inventory({ dmz: null }, { networks: order })), lines);
    }
  }
});

const emptyId = labelledFor("");

Deno.test("isOurNetwork() uses the label, or else driver and subnet", () => {
  const cases: [change: Partial<NetworkInfo>, isOurs: boolean][] = [
    [{}, true],
    [{ driver: "macvlan", subnets: [], internal: true }, true],
    [relabelled("dmz", specLabel, "x"), true],
    [ofAnother, false],
    [emptyId, false],
    [unlabelled, true],
    [{ ...unlabelled, internal: true }, true],
    [{ ...unlabelled, driver: "macvlan" }, false],
    [{ ...unlabelled, subnets: [] }, false],
    [{ ...unlabelled, subnets: ["10.1.0.0/24", "10.9.0.0/24"] }, false],
  ];
  for (const [change, isOurs] of cases) {
    const actual = { ...dmz, ...change };
    assert.equal(isOurNetwork(plannedNetwork("dmz"), actual, id), isOurs, JSON.stringify(change));
  }
});

Deno.test("isOurContainer() uses the label, or else the attachment", () => {
  const cases: [
    actual: ContainerInfo,
    change: Partial<ContainerInfo>,
    isOurs: boolean,
    base?: ContainerInfo | null,
  ][] = [
    [web, {}, true],
    [web, { addressByNetwork: new Map() }, true],
    [web, relabelled("web", specLabel, "x"), true],
    [web, ofAnother, false],
    [web, emptyId, false],
    [web, unlabelled, true],
    [web, { labels: new Map([[specLabel, "x"]]) }, false],
    [web, { ...unlabelled, addressByNetwork: new Map([[full("dmz"), "10.1.0.5"]]) }, false],
    [ssh, { networkMode: "default" }, true],
    [ssh, unlabelled, true],
    [ssh, { ...unlabelled, networkMode: `container:${web.name}` }, true],
    [ssh, { ...unlabelled, networkMode: "container:another" }, false],
    [ssh, { ...unlabelled, networkMode: "" }, false],
    [ssh, {}, true, null],
    [ssh, unlabelled, false, null],
  ];
  for (const [actual, change, isOurs, base = web] of cases) {
    const planned = plannedContainer(actual.name.replace(full(""), ""));
    const found = isOurContainer(planned, { ...actual, ...change }, {
      base: base ?? undefined,
      id,
    });
    assert.equal(found, isOurs, `${actual.name} ${JSON.stringify(change)}`);
  }
});
