import assert from "node:assert/strict";
import { carryOut, randomTopology, together, unmanaged, worn } from "../tests/support/inventory.ts";
import { SeededRandom } from "../tests/support/random.ts";
import {
  asApplied,
  bridge,
  changesOf,
  full,
  id,
  idle,
  imagesOf,
  inventory,
  ofAnother,
  type Otherwise,
  plan,
  relabelled,
  remade,
  removalsOf,
  unlabelled,
  webRemade,
} from "../tests/support/plan.ts";
import { parseAddress } from "./address.ts";
import {
  addressesOutside,
  type Changes,
  findChanges,
  findRemovals,
  type HostAddress,
} from "./changes.ts";
import { findDrift } from "./drift.ts";
import {
  type ContainerInfo,
  imageLabel,
  type Inventory,
  type NetworkInfo,
  specLabel,
  topologyLabel,
} from "./inventory.ts";
import { defaultImages, type Plan, planTopology } from "./plan.ts";

const without = (...names: string[]) => ({
  imageIds: new Map(
    [...imagesOf(plan)].map(([name, id]) => [name, names.includes(name) ? null : id]),
  ),
});
const base = "debian:bookworm-slim";
const absent = (names: string) => `obstacle: images that are not on this host: ${names}`;

Deno.test("findChanges() names all images that are missing, in one", () => {
  const nothing = { networks: [], containers: [] };
  const obstaclesOf = (around: Parameters<typeof changesOf>[1]) =>
    changesOf(nothing, around).filter((line) => line.startsWith("obstacle"));
  assert.deepEqual(obstaclesOf(without()), []);
  assert.deepEqual(obstaclesOf(without(base)), [absent(base)]);
  assert.deepEqual(obstaclesOf(without("decnet/sql:latest", base, "decnet/ssh:latest")), [
    absent(`${base}, decnet/ssh:latest, decnet/sql:latest`),
  ]);
  // One that nobody has looked for is as good as absent.
  assert.deepEqual(obstaclesOf({ imageIds: new Map() }), [
    absent(`${base}, decnet/http:latest, decnet/ssh:latest, decnet/sql:latest`),
  ]);
});

Deno.test("findChanges() does without images that nothing is created from", () => {
  const all = without(...imagesOf(plan).keys());
  assert.deepEqual(changesOf(inventory(), all), []);
  assert.deepEqual(changesOf(inventory({ "web-ssh": { state: "exited" } }), all), [
    "start container web-ssh: stopped",
  ]);
  // Whether it is a newer one cannot be told of an image that is absent.
  assert.deepEqual(
    changesOf(inventory({ web: relabelled("web", { [imageLabel]: "x" }) }), all),
    [],
  );
  assert.deepEqual(changesOf(inventory({ "web-ssh": null }), all), [
    "create container web-ssh: missing",
    absent("decnet/ssh:latest"),
  ]);
  assert.deepEqual(changesOf(inventory({ db: null }), without(base, "decnet/http:latest")), [
    "create container db: missing",
    ...remade({ "db-sql": "its base is recreated" }),
    absent(base),
  ]);
});

Deno.test("findChanges() recreates only containers whose image is newer", () => {
  const imageIds = imagesOf(plan).set("decnet/ssh:latest", "sha256:newer");
  const reason = "image decnet/ssh:latest is a newer one";
  assert.deepEqual(changesOf(inventory(), { imageIds }), remade({ "web-ssh": reason }));
});

Deno.test("findChanges() keeps a network that a foreign container uses", () => {
  const stranger: ContainerInfo = {
    ...asApplied.containers[0]!,
    id: "stranger",
    name: "stranger",
    ...unlabelled,
    addressByNetwork: new Map([["bridge", "172.17.0.9"], [full("dmz"), "10.1.0.99"]]),
  };
  const obstacle = "obstacle: container stranger, which is not of this topology, uses network dmz";
  const obstaclesOf = (change: Partial<ContainerInfo>, internal = true) =>
    changesOf(inventory({ dmz: { internal } }, { containers: [{ ...stranger, ...change }] }))
      .filter((line) => line.startsWith("obstacle"));
  for (const state of ["running", "paused", "restarting"]) {
    assert.deepEqual(obstaclesOf({ state }), [obstacle]);
    assert.deepEqual(obstaclesOf({ state, ...ofAnother }), [obstacle]);
  }
  // One that does not run has no hold on a network, as far as the engine is concerned.
  for (const state of ["exited", "created", "dead"]) assert.deepEqual(obstaclesOf({ state }), []);
  assert.deepEqual(obstaclesOf({ addressByNetwork: new Map([[full("inner"), "10.2.0.9"]]) }), []);
  assert.deepEqual(obstaclesOf({}, false), []);
  // One of ours that goes is none.
  assert.deepEqual(obstaclesOf({ labels: new Map([[topologyLabel, id]]) }), []);
});

Deno.test("findChanges() does nothing to the objects of others", () => {
  const networks = asApplied.networks.map((it) => ({ ...it, id: `x ${it.id}`, ...ofAnother }))
    .map((it) => ({ ...it, name: `${it.name}x`, subnets: ["10.99.0.0/16"] }));
  const containers = asApplied.containers.map((it) => ({ ...it, id: `x ${it.id}`, ...ofAnother }))
    .map((it) => ({ ...it, name: `${it.name}x`, state: "exited" }));
  assert.deepEqual(changesOf(inventory({}, { networks, containers })), []);
  const bare = (existing: typeof containers) => existing.map((it) => ({ ...it, ...unlabelled }));
  assert.deepEqual(changesOf(inventory({}, { containers: bare(containers) })), []);
});

Deno.test("findChanges() removes all of its own for a plan of nothing", () => {
  assert.deepEqual(changesOf(inventory(), { plan: { ...plan, networks: [], containers: [] } }), [
    "remove network dmz: no longer wanted",
    "remove network inner: no longer wanted",
    ...["web", "web-http", "web-ssh", "db", "db-sql"]
      .map((name) => `remove container ${name}: no longer wanted`),
  ]);
});

Deno.test("findChanges() leaves containers alone that are as planned and run", () => {
  const cases: Otherwise[] = [
    {},
    { web: { unhealthy: true }, "web-http": { unhealthy: true } },
    { "web-http": { state: "restarting" } },
    { web: relabelled("web", { "some.other.label": "x" }) },
    // A container that was made before this label existed is kept.
    { web: relabelled("web", { [imageLabel]: null }) },
    // Podman keeps the name that was asked for, or does not tell.
    { "web-http": { networkMode: `container:${full("web")}` } },
    { "web-http": { networkMode: "" } },
  ];
  for (const otherwise of cases) assert.deepEqual(changesOf(inventory(otherwise)), []);
});

Deno.test("findChanges() creates what is missing", () => {
  assert.deepEqual(changesOf(inventory({ "web-http": null })), [
    "create container web-http: missing",
  ]);
  assert.deepEqual(changesOf(inventory({ db: null, "db-sql": null })), [
    "create container db: missing",
    "create container db-sql: missing",
  ]);
  assert.deepEqual(changesOf({ networks: [], containers: [] }), [
    "create network dmz: missing",
    "create network inner: missing",
    ...["web", "web-http", "web-ssh", "db", "db-sql"].map((it) =>
      `create container ${it}: missing`
    ),
  ]);
});

Deno.test("findChanges() recreates the services whose base is missing", () => {
  assert.deepEqual(changesOf(inventory({ db: null })), [
    "create container db: missing",
    ...remade({ "db-sql": "its base is recreated" }),
  ]);
});

Deno.test("findChanges() recreates a changed base and its services", () => {
  const [dmz, inner] = [full("dmz"), full("inner")];
  const newer = "image debian:bookworm-slim is a newer one";
  const at = (...entries: [string, string][]) => ({ addressByNetwork: new Map(entries) });
  const cases: [change: Partial<ContainerInfo>, reason: string][] = [
    [relabelled("web", { [specLabel]: "x" }), "made from another specification"],
    [relabelled("web", { [specLabel]: null }), "made by another program"],
    [unlabelled, "made by another program"],
    [relabelled("web", { [imageLabel]: "x" }), newer],
    [at([dmz, "10.1.0.5"]), `not attached to ${inner}`],
    [at([dmz, "10.1.0.5"], [inner, "10.2.0.9"]), `address 10.2.0.9 on ${inner}, not 10.2.0.5`],
    [at([dmz, "10.1.0.5"], [inner, ""]), `address none on ${inner}, not 10.2.0.5`],
    [
      at([dmz, "10.1.0.5"], [inner, "10.2.0.5"], ["bridge", "172.17.0.2"]),
      "attached to bridge",
    ],
    [{ ...idle("web", "exited"), ...at([dmz, ""]) }, `not attached to ${inner}`],
    [{ ...idle("web", "exited"), ...relabelled("web", { [imageLabel]: "x" }) }, newer],
  ];
  for (const [change, reason] of cases) {
    assert.deepEqual(changesOf(inventory({ web: change })), webRemade(reason));
  }
});

Deno.test("findChanges() recreates only a changed service", () => {
  const cases: [change: Partial<ContainerInfo>, reason: string][] = [
    [relabelled("web-ssh", { [specLabel]: "x" }), "made from another specification"],
    [relabelled("web-ssh", { [specLabel]: null }), "made by another program"],
    [unlabelled, "made by another program"],
    [relabelled("web-ssh", { [imageLabel]: "x" }), "image decnet/ssh:latest is a newer one"],
    [{ networkMode: "container:another" }, `does not share the network of ${full("web")}`],
    [{ networkMode: "default" }, `does not share the network of ${full("web")}`],
    [{ state: "dead" }, "dead"],
    [{ state: "removing" }, "removing"],
    [{ state: "a word of a newer engine" }, "a word of a newer engine"],
  ];
  for (const [change, reason] of cases) {
    assert.deepEqual(changesOf(inventory({ "web-ssh": change })), remade({ "web-ssh": reason }));
  }
});

Deno.test("findChanges() does not touch a foreign container with a planned name", () => {
  const networkMode = "container:another";
  const noLabel = "without our label";
  const cases: [name: string, change: Partial<ContainerInfo>, what: string][] = [
    ["web", ofAnother, "of topology another"],
    ["web", { ...ofAnother, state: "exited" }, "of topology another"],
    ["web-ssh", ofAnother, "of topology another"],
    ["web", { labels: new Map([[topologyLabel, `${id}x`]]) }, `of topology ${id}x`],
    ["web", { ...unlabelled, addressByNetwork: new Map() }, noLabel],
    ["web", { ...unlabelled, addressByNetwork: new Map([["bridge", "172.17.0.9"]]) }, noLabel],
    ["web", { ...unlabelled, ...idle("db", "exited") }, noLabel],
    ["web-ssh", { ...unlabelled, networkMode }, noLabel],
    ["web-ssh", { ...unlabelled, networkMode: "" }, noLabel],
  ];
  for (const [name, change, what] of cases) {
    assert.deepEqual(changesOf(inventory({ [name]: change })), [
      `obstacle: container ${name} exists and is not of this topology (${what})`,
    ]);
  }
  const orphan = changesOf(inventory({ web: null, "web-ssh": unlabelled }));
  assert.ok(
    orphan.includes(
      "obstacle: container web-ssh exists and is not of this topology (without our label)",
    ),
  );
});

Deno.test("findChanges() takes over containers of another program, running or not", () => {
  const reason = "made by another program";
  const names = asApplied.containers.map(({ name }) => name.slice(full("").length));
  const existing = inventory(Object.fromEntries(names.map((name) => [name, unlabelled])));
  assert.deepEqual(changesOf(existing), [
    ...webRemade(reason),
    ...remade({ db: reason, "db-sql": "its base is recreated" }),
  ]);
  const stopped = inventory({ db: { ...unlabelled, ...idle("db", "exited") } });
  assert.deepEqual(changesOf(stopped), remade({ db: reason, "db-sql": "its base is recreated" }));
});

Deno.test("findChanges() removes labelled containers that are not planned", () => {
  const db = asApplied.containers.find(({ name }) => name === full("db"))!;
  const named = (name: string, change: Partial<ContainerInfo>) =>
    changesOf(inventory({}, { containers: [{ ...db, id: "more", name, ...change }] }));
  for (const name of ["old", "0123456789ab"]) {
    for (const state of ["running", "exited", "created", "paused", "dead"]) {
      assert.deepEqual(named(name, { state }), [`remove container ${name}: no longer wanted`]);
    }
  }
  assert.deepEqual(named(full("old"), {}), ["remove container old: no longer wanted"]);
  assert.deepEqual(named(full("old"), ofAnother), []);
  assert.deepEqual(named(full("old"), unlabelled), []);
});

Deno.test("findChanges() starts or unpauses a service, and no more", () => {
  assert.deepEqual(changesOf(inventory({ "web-ssh": { state: "exited" } })), [
    "start container web-ssh: stopped",
  ]);
  assert.deepEqual(changesOf(inventory({ "web-ssh": { state: "created" } })), [
    "start container web-ssh: never started",
  ]);
  assert.deepEqual(changesOf(inventory({ "web-ssh": { state: "paused" } })), [
    "unpause container web-ssh: paused",
  ]);
});

Deno.test("findChanges() starts a stopped base and restarts its services", () => {
  const start = "start container web: stopped";
  const reason = "its base is started again";
  const cases: [states: Otherwise, lines: string[]][] = [
    [{}, [`restart container web-http: ${reason}`, `restart container web-ssh: ${reason}`]],
    [
      { "web-http": { state: "exited" } },
      ["start container web-http: stopped", `restart container web-ssh: ${reason}`],
    ],
    [
      { "web-http": { state: "created" }, "web-ssh": { state: "dead" } },
      ["start container web-http: never started", ...remade({ "web-ssh": "dead" })],
    ],
    [
      { "web-http": { state: "paused" }, "web-ssh": { state: "restarting" } },
      remade({ "web-http": reason, "web-ssh": reason }),
    ],
    [
      { "web-http": null, "web-ssh": relabelled("web-ssh", { [specLabel]: "x" }) },
      [
        "create container web-http: missing",
        ...remade({ "web-ssh": "made from another specification" }),
      ],
    ],
  ];
  for (const [states, lines] of cases) {
    const existing = inventory({ web: idle("web", "exited"), ...states });
    assert.deepEqual(changesOf(existing), [start, ...lines]);
  }
});

Deno.test("findChanges() starts a base that was never started", () => {
  const reason = "its base is started again";
  assert.deepEqual(changesOf(inventory({ web: idle("web", "created") })), [
    "start container web: never started",
    `restart container web-http: ${reason}`,
    `restart container web-ssh: ${reason}`,
  ]);
  const addressByNetwork = new Map([[full("dmz"), ""]]);
  assert.deepEqual(
    changesOf(inventory({ web: { state: "created", addressByNetwork } })),
    webRemade(`not attached to ${full("inner")}`),
  );
});

Deno.test("findChanges() unpauses a base and checks its services", () => {
  const paused: Otherwise = { web: { state: "paused" } };
  const unpause = "unpause container web: paused";
  assert.deepEqual(changesOf(inventory(paused)), [unpause]);
  const states = { "web-http": { state: "paused" }, "web-ssh": { state: "exited" } };
  assert.deepEqual(changesOf(inventory({ ...paused, ...states })), [
    unpause,
    "unpause container web-http: paused",
    "start container web-ssh: stopped",
  ]);
});

Deno.test("findChanges() recreates a base that cannot be started", () => {
  const cases: [state: string, reason: string][] = [
    ["dead", "dead"],
    ["removing", "removing"],
    ["a word of a newer engine", "a word of a newer engine"],
  ];
  for (const [state, reason] of cases) {
    assert.deepEqual(changesOf(inventory({ web: idle("web", state) })), webRemade(reason), state);
    const service = { "web-http": { state: "exited" } };
    assert.deepEqual(
      changesOf(inventory({ web: idle("web", state), ...service })),
      webRemade(reason),
    );
  }
});

Deno.test("findChanges() keeps a restarting base unless a service needs it", () => {
  const web = idle("web", "restarting");
  assert.deepEqual(changesOf(inventory({ web })), []);
  const reason = "it does not stay up, and a service needs it";
  for (const service of [{ state: "exited" }, relabelled("web-http", { [specLabel]: "x" })]) {
    assert.deepEqual(changesOf(inventory({ web, "web-http": service })), webRemade(reason));
  }
  const withMissing = changesOf(inventory({ web, "web-http": null }));
  assert.ok(withMissing.includes(`create container web: ${reason}`), withMissing.join("\n"));
});

Deno.test("findChanges() restarts services that run longer than their base", () => {
  const up = (atLeast: number, atMost: number) => ({ uptime: { atLeast, atMost } });
  const reason = "its base is started again";
  const again = [
    `restart container web-http: ${reason}`,
    `restart container web-ssh: ${reason}`,
  ];
  const cases: [otherwise: Otherwise, lines: string[]][] = [
    [{ web: up(0, 59) }, again],
    // Whether it is the base that runs longer cannot be told.
    [{ web: up(0, 60) }, []],
    [{ web: up(3600, 7200) }, []],
    [{ web: { uptime: null } }, []],
    [{ web: up(0, 1), "web-http": { uptime: null }, "web-ssh": up(1, 2) }, []],
    [
      { web: up(0, 1), "web-http": { state: "paused" }, "web-ssh": { state: "restarting" } },
      remade({ "web-http": reason, "web-ssh": reason }),
    ],
    // How long a base runs is of no interest beside another.
    [{ web: up(3600, 7200), db: up(60, 120) }, []],
  ];
  for (const [otherwise, lines] of cases) assert.deepEqual(changesOf(inventory(otherwise)), lines);
});

const dmz = asApplied.networks.find(({ name }) => name === full("dmz"))!;

/** The lines that recreate the network `dmz` and the containers attached to it. */
function dmzRemade(reason: string): string[] {
  return [
    `remove network dmz: ${reason}`,
    `create network dmz: ${reason}`,
    ...remade({
      web: `network ${full("dmz")} is recreated`,
      "web-http": "its base is recreated",
      "web-ssh": "its base is recreated",
    }),
  ];
}

Deno.test("findChanges() leaves networks alone that are as planned", () => {
  const cases: Otherwise[] = [
    {},
    { dmz: relabelled("dmz", { [specLabel]: null }) },
    { dmz: relabelled("dmz", { "some.other.label": "x" }) },
    // Another program has made it for the same topology.
    { dmz: unlabelled },
  ];
  for (const otherwise of cases) assert.deepEqual(changesOf(inventory(otherwise)), []);
});

Deno.test("findChanges() recreates changed networks and their containers", () => {
  const cases: [change: Partial<NetworkInfo>, reason: string][] = [
    [{ driver: "macvlan" }, "driver macvlan, not bridge"],
    [{ subnets: ["10.1.1.0/24"] }, "subnet 10.1.1.0/24, not 10.1.0.0/24"],
    [{ subnets: ["10.1.0.0/24", "fd00::/64"] }, "subnet 10.1.0.0/24 fd00::/64, not 10.1.0.0/24"],
    [{ subnets: [] }, "subnet none, not 10.1.0.0/24"],
    [{ internal: true }, "internal"],
    [{ internal: true, ...unlabelled }, "internal"],
    [relabelled("dmz", { [specLabel]: "x" }), "made from another specification"],
  ];
  for (const [change, reason] of cases) {
    assert.deepEqual(changesOf(inventory({ dmz: change })), dmzRemade(reason));
  }
  assert.equal(
    changesOf(inventory({ inner: { internal: false } }))[0],
    "remove network inner: not internal",
  );
});

Deno.test("findChanges() creates missing networks, recreates their containers", () => {
  // The engine removes no network with running containers: these were stopped, and are in ruins.
  const [, ...lines] = dmzRemade("missing");
  assert.deepEqual(changesOf(inventory({ dmz: null })), lines);
  assert.deepEqual(changesOf(inventory({ dmz: null, web: { state: "exited" } })), lines);
});

Deno.test("findChanges() makes one network of several that bear its name", () => {
  const second = { ...dmz, id: "second" };
  const reason = "one of several of its name";
  const [removal = "", ...others] = dmzRemade(reason);
  for (const change of [{}, { subnets: ["10.1.1.0/24"] }, relabelled("dmz", { x: "y" })]) {
    const found = changesOf(inventory({}, { networks: [{ ...second, ...change }] }));
    assert.deepEqual(found, [removal, removal, ...others]);
  }
  // To which of them a container is attached cannot be told, and so none of them can be kept.
  const three = inventory({}, { networks: [second, { ...second, id: "third" }] });
  assert.deepEqual(changesOf(three), [removal, removal, removal, ...others]);
});

Deno.test("findChanges() does not touch a foreign network with a planned name", () => {
  const cases: [change: Partial<NetworkInfo>, what: string][] = [
    [ofAnother, "driver bridge, 10.1.0.0/24, of topology another"],
    [{ ...ofAnother, driver: "macvlan" }, "driver macvlan, 10.1.0.0/24, of topology another"],
    [
      { labels: new Map([[topologyLabel, `${id}x`]]) },
      `driver bridge, 10.1.0.0/24, of topology ${id}x`,
    ],
    [{ ...unlabelled, driver: "macvlan" }, "driver macvlan, 10.1.0.0/24"],
    [{ ...unlabelled, subnets: ["10.1.0.1/24"] }, "driver bridge, 10.1.0.1/24"],
    [{ ...unlabelled, subnets: [] }, "driver bridge"],
    [
      { ...unlabelled, subnets: ["10.1.0.0/24", "10.3.0.0/24"] },
      "driver bridge, 10.1.0.0/24 10.3.0.0/24",
    ],
  ];
  for (const [change, what] of cases) {
    const obstacle = `obstacle: network dmz exists and is not of this topology (${what})`;
    const instead = changesOf(inventory({ dmz: change }));
    assert.ok(!instead.some((line) => line.startsWith("remove network")), instead.join("\n"));
    assert.deepEqual(instead.filter((line) => line.startsWith("obstacle")), [obstacle]);
    const beside = inventory({}, { networks: [{ ...dmz, id: "second", ...change }] });
    assert.deepEqual(changesOf(beside), [obstacle]);
  }
});

Deno.test("findChanges() names the network that has a wanted subnet", () => {
  const cases: [subnets: string[], taken: string | null][] = [
    [["10.1.0.0/24"], "10.1.0.0/24"],
    [["10.0.0.0/8"], "10.0.0.0/8"],
    [["10.1.0.255/32"], "10.1.0.255/32"],
    [["10.1.0.77/24"], "10.1.0.77/24"],
    [["10.3.0.0/24", "10.1.0.128/25"], "10.1.0.128/25"],
    [["10.0.255.0/24"], null],
    [["10.1.1.0/24"], null],
    [["fd00::/64"], null],
    [[""], null],
    [[], null],
  ];
  for (const [subnets, taken] of cases) {
    const other = { ...bridge, id: "other", name: "other", subnets };
    const found = changesOf(inventory({ dmz: null }, { networks: [other] }));
    const obstacle = `obstacle: subnet 10.1.0.0/24 of dmz is taken by network other (${taken})`;
    assert.deepEqual(found.filter((it) => it.startsWith("obstacle")), taken ? [obstacle] : []);
    // Who has a network already shares it with nobody, whatever else is told.
    assert.deepEqual(changesOf(inventory({}, { networks: [other] })), []);
  }
});

Deno.test("findChanges() takes the subnet of a network that goes", () => {
  const old = { ...dmz, id: "old", name: full("old"), ...relabelled("dmz", { [specLabel]: "x" }) };
  const found = changesOf(inventory({ dmz: null }, { networks: [old] }));
  assert.equal(found[0], "remove network old: no longer wanted");
  assert.equal(found[1], "create network dmz: missing");
  assert.ok(!found.some((line) => line.startsWith("obstacle")), found.join("\n"));
});

/** These addresses, of an interface each. */
function interfaces(...addresses: string[]): HostAddress[] {
  return addresses.map((text, index) => ({
    interface: `eth${index}`,
    address: parseAddress(text)!,
  }));
}

Deno.test("findChanges() does not take the subnet that this host itself is in", () => {
  const obstaclesOf = (otherwise: Otherwise, address: string) =>
    changesOf(inventory(otherwise), { hostAddresses: interfaces("192.168.0.1", address) })
      .filter((it) => it.startsWith("obstacle"));
  const obstacle = "obstacle: subnet 10.1.0.0/24 of dmz holds an address of this host's " +
    "interface eth1";
  for (const address of ["10.1.0.0", "10.1.0.7", "10.1.0.255"]) {
    assert.deepEqual(obstaclesOf({ dmz: null }, address), [obstacle]);
    assert.deepEqual(obstaclesOf({ dmz: { internal: true } }, address), [obstacle]);
    // Where the network is, it is too late.
    assert.deepEqual(obstaclesOf({}, address), []);
  }
  for (const address of ["10.0.255.255", "10.1.1.0"]) {
    assert.deepEqual(obstaclesOf({ dmz: null }, address), []);
  }
});

Deno.test("addressesOutside() drops those that the host has in Docker's networks", () => {
  const cases: [subnets: string[], isOutside: boolean][] = [
    [["10.1.0.0/24"], false],
    [["10.1.0.9/16"], false],
    [["10.3.0.0/24", "10.1.0.1/32"], false],
    [["10.1.1.0/24"], true],
    [["fd00::/64"], true],
    [[""], true],
    [[], true],
  ];
  const [gateway, other] = interfaces("10.1.0.1", "192.168.0.1") as [HostAddress, HostAddress];
  for (const [subnets, isOutside] of cases) {
    const found = addressesOutside([bridge, { ...dmz, subnets }], [gateway, other]);
    assert.deepEqual(found, isOutside ? [gateway, other] : [other]);
  }
  assert.deepEqual(addressesOutside([], [gateway]), [gateway]);
});

Deno.test("findChanges() says once of each network what is in its way", () => {
  const other = { ...bridge, id: "other", name: "other", subnets: ["10.0.0.0/8"] };
  const networks = [other, { ...other, name: "more" }];
  const found = changesOf(inventory({ dmz: null, inner: null }, { networks }), {
    hostAddresses: interfaces("10.1.0.7", "10.1.0.8"),
  });
  assert.deepEqual(found.filter((it) => it.startsWith("obstacle")), [
    "obstacle: subnet 10.1.0.0/24 of dmz is taken by network other (10.0.0.0/8)",
    "obstacle: subnet 10.2.0.0/24 of inner is taken by network other (10.0.0.0/8)",
  ]);
});

Deno.test("findChanges() removes labelled networks that are not planned", () => {
  const named = (name: string, labels: NetworkInfo["labels"]) =>
    inventory({}, { networks: [{ ...bridge, id: "more", name, subnets: [], labels }] });
  const { labels } = dmz;
  assert.deepEqual(changesOf(named(full("old"), labels)), ["remove network old: no longer wanted"]);
  assert.deepEqual(changesOf(named("any", labels)), ["remove network any: no longer wanted"]);
  assert.deepEqual(changesOf(named(full("old"), ofAnother.labels)), []);
  assert.deepEqual(changesOf(named(full("old"), new Map())), []);
});

const names = ["web", "web-http", "web-ssh", "db", "db-sql"];
/** What is removed of all that is planned, the LANs in reverse order of their names. */
const everything = [
  "remove network inner",
  "remove network dmz",
  ...names.map((name) => `remove container ${name}`),
];
const unknown = { plan: null };
const [dmzRemovals, db] = [asApplied.networks[1]!, asApplied.containers[3]!];

/** Everything without a label. */
function bare(otherwise: Otherwise = {}): Inventory {
  const objects = ["dmz", "inner", ...names].map((name) => [name, unlabelled]);
  return inventory({ ...Object.fromEntries(objects), ...otherwise });
}

Deno.test("findRemovals() removes what has the label, whatever is remembered", () => {
  const states = { web: { state: "exited" }, "web-ssh": { state: "dead" }, dmz: { driver: "x" } };
  for (const otherwise of [{}, states]) {
    for (const remembered of [{}, { wasApplied: false }, unknown]) {
      assert.deepEqual(removalsOf(inventory(otherwise), remembered), everything);
    }
  }
});

Deno.test("findRemovals() removes what has the label and is not planned", () => {
  const more = inventory({}, {
    networks: [{ ...dmzRemovals, id: "more", name: full("zone") }, {
      ...dmzRemovals,
      id: "second",
    }],
    containers: [{ ...db, id: "dead", name: "0123456789ab", state: "dead" }],
  });
  const [inner, ...others] = everything;
  const expected = ["remove network zone", inner, "remove network dmz", ...others];
  for (const remembered of [{}, unknown]) {
    assert.deepEqual(removalsOf(more, remembered), [...expected, "remove container 0123456789ab"]);
  }
});

Deno.test("findRemovals() removes planned names once they were applied", () => {
  const strange: Otherwise = {
    dmz: { ...unlabelled, driver: "macvlan", subnets: [] },
    web: { ...unlabelled, addressByNetwork: new Map() },
    "db-sql": { ...unlabelled, networkMode: "container:another" },
  };
  for (const otherwise of [{}, strange]) {
    assert.deepEqual(removalsOf(bare(otherwise)), everything);
    assert.deepEqual(removalsOf(bare(otherwise), unknown), []);
  }
  // What was never applied may stand beside something foreign that was there before.
  const neverApplied = { wasApplied: false };
  assert.deepEqual(removalsOf(bare(), neverApplied), everything);
  assert.deepEqual(removalsOf(bare(strange), neverApplied), [
    "remove network inner",
    // These hang on a base that is not ours, but are not seen to be otherwise than planned.
    "remove container web-http",
    "remove container web-ssh",
    "remove container db",
  ]);
  const orphans = removalsOf(bare({ web: null }), neverApplied);
  assert.deepEqual(orphans, everything.filter((line) => !line.includes("web")));
});

Deno.test("findRemovals() leaves what has the label of another topology", () => {
  const objects = ["dmz", "inner", ...names].map((name) => [name, ofAnother]);
  const others = inventory(Object.fromEntries(objects));
  for (const remembered of [{}, { wasApplied: false }, unknown]) {
    assert.deepEqual(removalsOf(others, remembered), []);
  }
  const one = inventory({ dmz: ofAnother, "web-ssh": ofAnother });
  const left = everything.filter((line) => !/ (dmz|web-ssh)$/.test(line));
  assert.deepEqual(removalsOf(one), left);
});

Deno.test("findRemovals() leaves what has neither the label nor a planned name", () => {
  const networks = [{ ...dmzRemovals, id: "more", name: full("zone"), ...unlabelled }];
  const containers = [{ ...db, id: "more", name: full("more"), state: "exited", ...unlabelled }];
  assert.deepEqual(removalsOf(inventory({}, { networks, containers })), everything);
});

Deno.test("findRemovals() removes the rest, and nothing of nothing", () => {
  assert.deepEqual(removalsOf(inventory({ dmz: null, web: null })), [
    "remove network inner",
    ...names.slice(1).map((name) => `remove container ${name}`),
  ]);
  assert.deepEqual(removalsOf({ networks: [asApplied.networks[0]!], containers: [] }), []);
  assert.deepEqual(removalsOf({ networks: [], containers: [] }, unknown), []);
});

Deno.test("findRemovals() names foreign containers on a network", () => {
  const guest: ContainerInfo = {
    ...db,
    id: "stranger",
    name: "stranger",
    ...unlabelled,
    addressByNetwork: new Map([[full("dmz"), "10.1.0.9"]]),
  };
  const withGuest = (change: Partial<ContainerInfo>, otherwise: Otherwise = {}) =>
    removalsOf(inventory(otherwise, { containers: [{ ...guest, ...change }] }));
  const obstacle = "obstacle: container stranger, which is not of this topology, uses network dmz";
  assert.deepEqual(withGuest({}), [...everything, obstacle]);
  assert.deepEqual(withGuest(ofAnother), [...everything, obstacle]);
  assert.deepEqual(withGuest({ state: "exited" }), everything);
  assert.deepEqual(withGuest({}, { dmz: ofAnother }), everything.toSpliced(1, 1));
});

Deno.test("findRemovals() sorts networks backwards and keeps its input", () => {
  const named = ["b", "B", "a", "10", "9", "\u{1f600}", "\uffff"].map((name): NetworkInfo => ({
    ...dmzRemovals,
    id: name,
    name,
  }));
  const given = { networks: named, containers: [] };
  const before = [...named];
  assert.deepEqual(
    removalsOf(given, { topologyId: id, plan: null }).map((line) => line.split(" ").at(-1)),
    ["\u{1f600}", "\uffff", "b", "a", "B", "9", "10"],
  );
  assert.deepEqual(given.networks, before);
});

Deno.test("findRemovals() keeps a foreign planned name beside our own work", () => {
  const stranger = { ...unlabelled, addressByNetwork: new Map() };
  const web = (line: string) => line === "remove container web";
  assert.deepEqual(
    removalsOf(inventory({ web: stranger })),
    everything.filter((line) => !web(line)),
  );
  assert.deepEqual(removalsOf(inventory({ web: unlabelled })), everything);
});

type Fact = NetworkInfo | ContainerInfo;

/** A plan, and what exists before it is applied. */
interface Round {
  readonly plan: Plan;
  readonly existing: Inventory;
  /** The part of it that belongs to others. */
  readonly foreign: Inventory;
  readonly imageIds: ReadonlyMap<string, string | null>;
}

/** Host after host, as many as there are seeds, each of which gives the same host each time. */
async function forEachHost(
  { kind, seeds = 400 }: { kind: "alone" | "beside others" | "obstructed"; seeds?: number },
  check: (round: Round) => void,
): Promise<void> {
  for (let seed = 1; seed <= seeds; seed++) {
    const random = new SeededRandom(seed);
    const plan = await planTopology(randomTopology(random), defaultImages);
    const before = random.isOneIn(2)
      ? plan
      : await planTopology(randomTopology(random), defaultImages);
    const foreign = kind === "alone"
      ? { networks: [], containers: [] }
      : unmanaged(plan, random, kind === "obstructed");
    const existing = together(worn(before, random), foreign);
    try {
      check({ plan, existing, foreign, imageIds: imagesOf(plan) });
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
}

function changesOfConvergence({ plan, imageIds }: Round, existing: Inventory): Changes {
  return findChanges(plan, existing, { imageIds, hostAddresses: [] });
}

function touched({ networks, containers }: Changes): Fact[] {
  return [...networks, ...containers].flatMap((it) => it.action === "create" ? [] : [it.actual]);
}

function assertUntouched({ foreign }: Round, changes: Changes): void {
  const theirs = new Set<Fact>([...foreign.networks, ...foreign.containers]);
  const names = touched(changes).filter((actual) => theirs.has(actual)).map(({ name }) => name);
  assert.deepEqual(names, []);
}

function isOurs({ labels }: Fact): boolean {
  return labels.get(topologyLabel) === id;
}

/** Whether something of ours has lost its label, and so may look like somebody else's. */
function hasBare({ networks, containers }: Inventory): boolean {
  return [...networks, ...containers].some(({ name, labels }) =>
    name.startsWith("decnet_t_") && labels.size === 0
  );
}

Deno.test("findChanges() leads from any state to one without changes", async () => {
  let count = 0;
  await forEachHost({ kind: "beside others" }, (round) => {
    const { plan, existing, imageIds } = round;
    const changes = changesOfConvergence(round, existing);
    assertUntouched(round, changes);
    if (changes.obstacles.length > 0) {
      assert.ok(hasBare(existing), changes.obstacles.join("\n"));
      return;
    }
    count++;
    const after = carryOut(changes, existing, imageIds);
    assert.deepEqual(changesOfConvergence(round, after), {
      networks: [],
      containers: [],
      obstacles: [],
    });
    const { missing, stopped, changed } = findDrift(plan, after);
    assert.deepEqual({ missing, stopped, changed }, { missing: [], stopped: [], changed: [] });
    for (const it of [...round.foreign.networks, ...round.foreign.containers] as Fact[]) {
      assert.ok([...after.networks, ...after.containers].includes(it as never));
    }
  });
  assert.ok(count > 200, `only ${count} hosts were without obstacles`);
});

Deno.test("findChanges() never touches what belongs to others", async () => {
  let count = 0;
  await forEachHost({ kind: "obstructed" }, (round) => {
    const changes = changesOfConvergence(round, round.existing);
    assertUntouched(round, changes);
    if (changes.obstacles.length > 0) return void count++;
    // It was in nobody's way after all, and so is not when the changes are made.
    const after = carryOut(changes, round.existing, round.imageIds);
    assert.deepEqual(changesOfConvergence(round, after).obstacles, []);
  });
  assert.ok(count > 200, `only ${count} hosts had obstacles`);
});

Deno.test("findRemovals() leaves nothing of ours, and all that belongs to others", async () => {
  await forEachHost({ kind: "beside others" }, (round) => {
    const { plan, existing, foreign, imageIds } = round;
    for (const wasApplied of [true, false]) {
      for (const known of [plan, null]) {
        const removals = findRemovals({ topologyId: id, plan: known, wasApplied }, existing);
        assertUntouched(round, removals);
        if (removals.obstacles.length > 0) {
          assert.ok(hasBare(existing), removals.obstacles.join("\n"));
          continue;
        }
        const after = carryOut(removals, existing, imageIds);
        const left = [...after.networks, ...after.containers] as Fact[];
        assert.deepEqual(left.filter(isOurs), []);
        for (const it of [...foreign.networks, ...foreign.containers] as Fact[]) {
          assert.ok(left.includes(it), it.name);
        }
        const isMadeByUs = ([...existing.networks, ...existing.containers] as Fact[]).some((it) =>
          isOurs(it) && it.labels.has(specLabel)
        );
        if (!wasApplied || known === null || isMadeByUs) continue;
        const names = new Set([...plan.networks, ...plan.containers].map(({ name }) => name));
        assert.deepEqual(left.filter(({ name }) => names.has(name)), []);
      }
    }
  });
});

Deno.test("findChanges() has no obstacle where nothing is foreign", async () => {
  await forEachHost({ kind: "alone" }, (round) => {
    const { plan, existing } = round;
    if (hasBare(existing)) return;
    assert.deepEqual(changesOfConvergence(round, existing).obstacles, []);
    const removals = findRemovals({ topologyId: id, plan, wasApplied: true }, existing);
    assert.deepEqual(removals.obstacles, []);
    assert.deepEqual(
      new Set(touched(removals)),
      new Set([...existing.networks, ...existing.containers].filter(isOurs)),
    );
  });
});
