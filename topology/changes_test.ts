import assert from "node:assert/strict";
import { carryOut, randomTopology, together, unmanaged, worn } from "../tests/support/inventory.ts";
import {
  bridge,
  changesOf,
  containerOf,
  copyOf,
  driftOf,
  full,
  id,
  idle,
  imagesOf,
  inventory,
  labelledFor,
  networkOf,
  obstaclesOf,
  ofAnother,
  ofOldImage,
  type Otherwise,
  plan,
  relabelled,
  remade,
  removalsOf,
  unlabelled,
  webRemade,
} from "../tests/support/plan.ts";
import { SeededRandom } from "../tests/support/random.ts";
import { type Changes, findChanges, findRemovals, findTakenSubnets } from "./changes.ts";
import { findDrift } from "./drift.ts";
import {
  type ContainerInfo,
  imageLabel,
  type Inventory,
  type NetworkInfo,
  specLabel,
  topologyLabel,
} from "./inventory.ts";
import { defaultPlanOptions, type Plan, planTopology } from "./plan.ts";

const nothing: Inventory = { networks: [], containers: [] };
const containerNames = ["web", "web-http", "web-ssh", "db", "db-sql"];
const objectNames = ["dmz", "inner", ...containerNames];
const otherSpec = "made from another specification";
const otherProgram = "made by another program";
const baseRecreated = "its base is recreated";
const baseStarted = "its base is started again";
const newerBase = "image debian:bookworm-slim is a newer one";
const notWanted = "not in the topology";
const copied = "its labels came with its image";
const renamed = "its label names this topology, its name does not";
const [dmz, db] = [networkOf("dmz"), containerOf("db")];

/** The same difference of every object. */
function all(difference: Partial<NetworkInfo & ContainerInfo>, names = objectNames): Otherwise {
  return Object.fromEntries(names.map((name) => [name, difference]));
}

/** A base whose addresses in `dmz` and `inner` are these, beside others. */
function at(...addresses: [network: string, address: string][]) {
  return { addressByNetwork: new Map(addresses) };
}

function up(atLeast: number, atMost: number) {
  return { uptime: { atLeast, atMost } };
}

function assertChanges(cases: readonly (readonly [Otherwise, lines: readonly string[]])[]): void {
  for (const [otherwise, lines] of cases) {
    assert.deepEqual(changesOf(inventory(otherwise)), lines, JSON.stringify(otherwise));
  }
}

Deno.test("findChanges() leaves objects that are as planned", () => {
  const cases: Otherwise[] = [
    {},
    { web: { unhealthy: true }, "web-http": { unhealthy: true } },
    { "web-http": { state: "restarting" } },
    { web: relabelled("web", "some.other.label", "x") },
    // Made before this label existed.
    { web: relabelled("web", imageLabel, null) },
    // Podman keeps the name from the request, or has no network mode.
    { "web-http": { networkMode: `container:${full("web")}` } },
    { "web-http": { networkMode: "" } },
    { dmz: relabelled("dmz", specLabel, null) },
    { dmz: relabelled("dmz", "some.other.label", "x") },
    // Made by another program for the same topology.
    { dmz: unlabelled },
  ];
  assertChanges(cases.map((otherwise) => [otherwise, []]));
});

Deno.test("findChanges() leaves the objects of others", () => {
  const networks = [
    bridge,
    { ...dmz, name: `${dmz.name}x`, subnets: ["10.99.0.0/16"], ...ofAnother },
    { ...bridge, id: "x", name: full("old"), subnets: [] },
  ];
  const foreign = { ...db, name: full("old"), state: "exited" };
  for (const labels of [ofAnother, unlabelled]) {
    const containers = [{ ...foreign, ...labels }];
    assert.deepEqual(changesOf(inventory({}, { networks, containers })), []);
  }
});

Deno.test("findChanges() creates what is missing", () => {
  const missing = (name: string) => `create container ${name}: missing`;
  assertChanges([
    [{ "web-http": null }, [missing("web-http")]],
    [{ db: null, "db-sql": null }, [missing("db"), missing("db-sql")]],
    [{ db: null }, [missing("db"), ...remade({ "db-sql": baseRecreated })]],
  ]);
  assert.deepEqual(changesOf(nothing), [
    "create network dmz: missing",
    "create network inner: missing",
    ...containerNames.map(missing),
  ]);
});

Deno.test("findChanges() recreates a changed base and its services", () => {
  const lan = full("dmz");
  const cases: [change: Partial<ContainerInfo>, reason: string][] = [
    [relabelled("web", specLabel, "x"), otherSpec],
    [relabelled("web", specLabel, null), otherProgram],
    [unlabelled, otherProgram],
    [ofOldImage("web"), newerBase],
    // Made while the name of the image came to mean this one.
    [relabelled("web", imageLabel, "x"), newerBase],
    [{ state: "created", ...at([lan, ""]) }, "not attached to inner"],
    [{ ...idle("web", "exited"), ...ofOldImage("web") }, newerBase],
    [idle("web", "dead"), "dead"],
    [idle("web", "a word of a newer engine"), "a word of a newer engine"],
  ];
  assertChanges(cases.map(([web, reason]) => [{ web }, webRemade(reason)]));
  assertChanges([
    [{ web: idle("web", "dead"), "web-http": { state: "exited" } }, webRemade("dead")],
  ]);
});

Deno.test("findChanges() recreates only a changed service", () => {
  const cases: [change: Partial<ContainerInfo>, reason: string][] = [
    [relabelled("web-ssh", specLabel, "x"), otherSpec],
    [relabelled("web-ssh", specLabel, null), otherProgram],
    [unlabelled, otherProgram],
    [ofOldImage("web-ssh"), "image decnet/ssh:latest is a newer one"],
    [{ networkMode: "container:another" }, "does not share the network of web"],
    [{ state: "dead" }, "dead"],
    [{ state: "a word of a newer engine" }, "a word of a newer engine"],
  ];
  assertChanges(
    cases.map(([change, reason]) => [{ "web-ssh": change }, remade({ "web-ssh": reason })]),
  );
});

Deno.test("findChanges() takes over containers of another program", () => {
  const dbRemade = remade({ db: otherProgram, "db-sql": baseRecreated });
  assertChanges([
    [all(unlabelled, containerNames), [...webRemade(otherProgram), ...dbRemade]],
    [{ db: { ...unlabelled, ...idle("db", "exited") } }, dbRemade],
    // Made with the id of the image.
    [
      { db: { ...unlabelled, image: "sha256:debian:bookworm-slim" } },
      remade({
        db: "image sha256:debian:bookworm-slim, not debian:bookworm-slim",
        "db-sql": baseRecreated,
      }),
    ],
  ]);
});

Deno.test("findChanges() leaves a foreign container with a planned name", () => {
  const noLabel = "without our label";
  const cases: [name: string, change: Partial<ContainerInfo>, what: string][] = [
    ["web", ofAnother, "of topology another"],
    ["web-ssh", { ...ofAnother, state: "exited" }, "of topology another"],
    ["web", { ...unlabelled, ...idle("db", "exited") }, noLabel],
    ["web-ssh", { ...unlabelled, networkMode: "" }, noLabel],
    ["web-ssh", { ...unlabelled, image: "decnet/http:latest", imageId: "x" }, noLabel],
    ["web", { ...unlabelled, image: "sha256:older", imageId: "sha256:older" }, noLabel],
    ["web-ssh", { image: "evidence:1", imageId: "sha256:committed" }, copied],
    // After `docker image rm` the engine lists an id.
    ["web-ssh", { image: "sha256:committed", imageId: "sha256:committed" }, copied],
    ["web", { labels: new Map([[specLabel, "x"]]) }, "its labels came with its image"],
  ];
  const obstacle = (name: string, what: string) =>
    `obstacle: container ${name} exists and does not belong to this topology (${what}): ` +
    (what.startsWith("of topology") ? "tear that one down" : "remove or rename it");
  assertChanges(cases.map(([name, change, what]) => [{ [name]: change }, [obstacle(name, what)]]));
  const orphan = obstaclesOf(inventory({ web: null, "web-ssh": unlabelled }));
  assert.deepEqual(orphan, [obstacle("web-ssh", noLabel)]);
});

/** A service that the first agent made: without our digests, and without the id in its name. */
function firstAgentService(decky: string, service: string, name: string): Partial<ContainerInfo> {
  const labels = {
    [topologyLabel]: id,
    "decnet.topology.decky": decky,
    "decnet.topology.service_name": service,
  };
  return { name, networkMode: "container:base", labels: new Map(Object.entries(labels)) };
}

Deno.test("findChanges() removes labelled objects that are not planned", () => {
  const networks = [{ ...dmz, id: "more", name: full("old"), subnets: [] }];
  assert.deepEqual(changesOf(inventory({}, { networks })), [`remove network old: ${notWanted}`]);
  const lost = { id: `0123456789ab${"c".repeat(52)}`, name: "0123456789ab" };
  const cases: [change: Partial<ContainerInfo>, shown: string][] = [
    ...["running", "exited", "created", "paused", "dead"].map((state) =>
      [{ name: full("old"), state }, "old"] as [Partial<ContainerInfo>, string]
    ),
    // Made before the label existed.
    [{ ...labelledFor(id), name: full("old"), imageId: "sha256:any" }, "old"],
    [ofOldImage("db"), "old"],
    // The engine has failed to remove it.
    [{ ...lost, state: "dead" }, lost.name],
    [{ ...lost, state: "removing" }, lost.name],
    [firstAgentService("web", "http", "web-http"), "web-http"],
    [firstAgentService("web", "docker_api", "web-docker-api"), "web-docker-api"],
    [firstAgentService("web", "smtp_relay", "web-smtp_relay"), "web-smtp_relay"],
  ];
  for (const [change, shown] of cases) {
    const containers = [{
      ...db,
      id: "more",
      name: full("old"),
      ...idle("db", "exited"),
      ...change,
    }];
    assert.deepEqual(changesOf(inventory({}, { containers })), [
      `remove container ${shown}: ${notWanted}`,
    ]);
  }
  assert.deepEqual(changesOf(inventory(), { plan: { ...plan, networks: [], containers: [] } }), [
    ...["dmz", "inner"].map((name) => `remove network ${name}: ${notWanted}`),
    ...containerNames.map((name) => `remove container ${name}: ${notWanted}`),
  ]);
});

/** The lines that remove all planned objects, networks in reverse order. */
const everything = [
  "remove network inner",
  "remove network dmz",
  ...containerNames.map((name) => `remove container ${name}`),
];
const noDocument = { plan: null };

/** Containers with the label of the topology that the agent did not make for it. */
const notOwn: [what: string, change: Partial<ContainerInfo>, detail: string][] = [
  ["a copy", {}, copied],
  ["a copy with a name of ours", { name: full("analysis") }, copied],
  ["a copy that is dead", { name: full("analysis"), state: "dead" }, copied],
  ["a copy without a name", { id: "0123456789abc", name: "0123456789ab", state: "dead" }, copied],
  ["a renamed container", { imageId: containerOf("db-sql").imageId }, renamed],
  ["a container of a labelled image", labelledFor(id), renamed],
  ["a dead one of a labelled image", { ...labelledFor(id), state: "dead" }, renamed],
  ["a container named by its id", { ...labelledFor(id), id: "abc", name: "abc" }, renamed],
  ["no service of the first agent", firstAgentService("db", "sql", "db-sq"), renamed],
  ["no service", { ...firstAgentService("db", "sql", "db-sql"), networkMode: "none" }, renamed],
];
for (const [what, change, detail] of notOwn) {
  Deno.test(`findChanges() and findRemovals() leave ${what}`, () => {
    const actual = { ...copyOf("db-sql"), ...change };
    const existing = inventory({}, { containers: [actual] });
    assert.deepEqual(changesOf(existing), []);
    assert.deepEqual(removalsOf(existing), everything);
    assert.deepEqual(removalsOf(existing, noDocument), everything);
    const shown = `${actual.name.replace(full(""), "")}: ${actual.state}, ${detail}`;
    assert.deepEqual(driftOf(existing), [`unexpected container ${shown}`]);
  });
}

Deno.test("findChanges() and findRemovals() leave a network with another name", () => {
  const networks = [{ ...dmz, id: "more", name: "dmz", subnets: ["10.9.0.0/24"] }];
  const existing = inventory({}, { networks });
  assert.deepEqual(changesOf(existing), []);
  assert.deepEqual(removalsOf(existing, noDocument), everything);
  assert.deepEqual(driftOf(existing), [`unexpected network dmz: ${renamed}`]);
});

Deno.test("findChanges() starts or unpauses a container", () => {
  const unpause = "unpause container web: paused";
  assertChanges([
    [{ "web-ssh": { state: "exited" } }, ["start container web-ssh: stopped"]],
    [{ "web-ssh": { state: "created" } }, ["start container web-ssh: never started"]],
    [{ web: { state: "paused" } }, [unpause]],
    [
      { web: { state: "paused" }, "web-http": { state: "paused" }, "web-ssh": { state: "exited" } },
      [unpause, "unpause container web-http: paused", "start container web-ssh: stopped"],
    ],
  ]);
});

const servicesRestarted = ["web-http", "web-ssh"]
  .map((name) => `restart container ${name}: ${baseStarted}`);

Deno.test("findChanges() starts a stopped base and restarts its services", () => {
  const [, sshRestarted = ""] = servicesRestarted;
  const cases: [services: Otherwise, lines: string[]][] = [
    [{}, servicesRestarted],
    [{ "web-http": { state: "exited" } }, ["start container web-http: stopped", sshRestarted]],
    [{ "web-http": { state: "created" }, "web-ssh": { state: "dead" } }, [
      "start container web-http: never started",
      ...remade({ "web-ssh": "dead" }),
    ]],
    [
      { "web-http": { state: "paused" }, "web-ssh": { state: "restarting" } },
      remade({ "web-http": baseStarted, "web-ssh": baseStarted }),
    ],
    [{ "web-http": null, "web-ssh": relabelled("web-ssh", specLabel, "x") }, [
      "create container web-http: missing",
      ...remade({ "web-ssh": otherSpec }),
    ]],
  ];
  for (const [state, reason] of [["exited", "stopped"], ["created", "never started"]] as const) {
    const start = `start container web: ${reason}`;
    assertChanges(
      cases.map(([services, lines]) => [
        { web: idle("web", state), ...services },
        [start, ...lines],
      ]),
    );
  }
});

Deno.test("findChanges() keeps a restarting base unless a service needs it", () => {
  const web = idle("web", "restarting");
  const reason = "it does not stay up, and a service needs it";
  assertChanges([
    [{ web }, []],
    [{ web, "web-http": { state: "exited" } }, webRemade(reason)],
    [{ web, "web-http": relabelled("web-http", specLabel, "x") }, webRemade(reason)],
  ]);
  const withMissing = changesOf(inventory({ web, "web-http": null }));
  assert.ok(withMissing.includes(`create container web: ${reason}`), withMissing.join("\n"));
});

Deno.test("findChanges() restarts services that run longer than their base", () => {
  assertChanges([
    [{ web: up(0, 59) }, servicesRestarted],
    // The ranges overlap: the base may run longer.
    [{ web: up(0, 60) }, []],
    [{ web: up(1, 2), "web-http": { uptime: null }, "web-ssh": up(2, 3) }, []],
    // "Less than a second" means nothing: the clock may have been set back.
    [{ web: up(0, 1) }, []],
    [
      { web: up(1, 2), "web-http": { state: "paused" }, "web-ssh": { state: "restarting" } },
      remade({ "web-http": baseStarted, "web-ssh": baseStarted }),
    ],
    // A base is not compared with another base.
    [{ web: up(3600, 7200), db: up(60, 120) }, []],
  ]);
});

const baseImage = "debian:bookworm-slim";
const missingImages = (...names: string[]) =>
  `obstacle: missing images: ${names.join(", ")} (docker load -i FILE, or pull them)`;

/** The images of the plan without some of them. */
function imagesWithout(...names: string[]) {
  const imageIds = imagesOf(plan);
  for (const name of names) imageIds.set(name, null);
  return { imageIds };
}

Deno.test("findChanges() lists all missing images in one obstacle", () => {
  const [sql, ssh, http] = ["decnet/sql:latest", "decnet/ssh:latest", "decnet/http:latest"];
  assert.deepEqual(obstaclesOf(nothing, imagesWithout()), []);
  assert.deepEqual(obstaclesOf(nothing, imagesWithout(baseImage)), [missingImages(baseImage)]);
  assert.deepEqual(obstaclesOf(nothing, imagesWithout(sql!, baseImage, ssh!)), [
    missingImages(baseImage, ssh!, sql!),
  ]);
  assert.deepEqual(obstaclesOf(nothing, { imageIds: new Map() }), [
    missingImages(baseImage, http!, ssh!, sql!),
  ]);
});

Deno.test("findChanges() needs only images from which it creates a container", () => {
  const none = imagesWithout(...imagesOf(plan).keys());
  const cases: [otherwise: Otherwise, lines: string[], images?: typeof none][] = [
    [{}, []],
    // A missing image cannot be a newer one.
    [{ web: ofOldImage("web") }, []],
    [{ "web-ssh": null }, [
      "create container web-ssh: missing",
      missingImages("decnet/ssh:latest"),
    ]],
    [
      { db: null },
      [
        "create container db: missing",
        ...remade({ "db-sql": baseRecreated }),
        missingImages(baseImage),
      ],
      imagesWithout(baseImage, "decnet/http:latest"),
    ],
    [
      {},
      remade({ "web-ssh": "image decnet/ssh:latest is a newer one" }),
      { imageIds: imagesOf(plan).set("decnet/ssh:latest", "sha256:newer") },
    ],
  ];
  for (const [otherwise, lines, images = none] of cases) {
    assert.deepEqual(changesOf(inventory(otherwise), images), lines);
  }
});

/** The lines that recreate the network `dmz` and the containers attached to it. */
function dmzRemade(reason: string): string[] {
  return [
    `remove network dmz: ${reason}`,
    `create network dmz: ${reason}`,
    ...webRemade("network dmz is recreated"),
  ];
}

Deno.test("findChanges() recreates changed networks and their containers", () => {
  const cases: [change: Partial<NetworkInfo>, reason: string][] = [
    [{ internal: true }, "internal"],
    [{ internal: true, ...unlabelled }, "internal"],
    [relabelled("dmz", specLabel, "x"), otherSpec],
  ];
  assertChanges(cases.map(([change, reason]) => [{ dmz: change }, dmzRemade(reason)]));
  const [removal] = changesOf(inventory({ inner: { internal: false } }));
  assert.equal(removal, "remove network inner: not internal");
  // Containers of a missing network have lost it, running or not.
  const [, ...lines] = dmzRemade("missing");
  assertChanges([[{ dmz: null }, lines], [{ dmz: null, web: { state: "exited" } }, lines]]);
});

Deno.test("findChanges() replaces several networks of one name by one", () => {
  const second = { ...dmz, id: "second" };
  const [removal = "", ...others] = dmzRemade("several networks with this name");
  for (const change of [{}, { subnets: ["10.1.1.0/24"] }, relabelled("dmz", "x", "y")]) {
    const found = changesOf(inventory({}, { networks: [{ ...second, ...change }] }));
    assert.deepEqual(found, [removal, removal, ...others]);
  }
  const three = inventory({}, { networks: [second, { ...second, id: "third" }] });
  assert.deepEqual(changesOf(three), [removal, removal, removal, ...others]);
});

Deno.test("findChanges() leaves a foreign network with a planned name", () => {
  const cases: [change: Partial<NetworkInfo>, what: string][] = [
    [{ ...ofAnother, driver: "macvlan" }, "driver macvlan, 10.1.0.0/24, of topology another"],
    [{ ...unlabelled, subnets: [] }, "driver bridge"],
    [
      { ...unlabelled, subnets: ["10.1.0.0/24", "10.3.0.0/24"] },
      "driver bridge, 10.1.0.0/24 10.3.0.0/24",
    ],
  ];
  for (const [change, what] of cases) {
    const obstacle =
      `obstacle: network dmz exists and does not belong to this topology (${what}): ` +
      (what.includes("of topology") ? "tear that one down" : "remove it");
    const instead = changesOf(inventory({ dmz: change }));
    assert.ok(!instead.some((line) => line.startsWith("remove network")), instead.join("\n"));
    assert.deepEqual(instead.filter((line) => line.startsWith("obstacle")), [obstacle]);
    const beside = inventory({}, { networks: [{ ...dmz, id: "second", ...change }] });
    assert.deepEqual(changesOf(beside), [obstacle]);
  }
});

/** A foreign container on the network `dmz`. */
const guest: ContainerInfo = {
  ...db,
  ...{ id: "stranger", name: "stranger", ...unlabelled },
  ...at(["bridge", "172.17.0.9"], [full("dmz"), "10.1.0.99"]),
};
const guestObstacle =
  "obstacle: container stranger, which does not belong to this topology, uses network dmz: " +
  "stop or remove it";

Deno.test("findChanges() keeps a network that a foreign container uses", () => {
  const found = (change: Partial<ContainerInfo>, internal = true) =>
    obstaclesOf(inventory({ dmz: { internal } }, { containers: [{ ...guest, ...change }] }));
  for (const state of ["running", "paused", "restarting"]) {
    assert.deepEqual(found({ state }), [guestObstacle]);
    assert.deepEqual(found({ state, ...ofAnother }), [guestObstacle]);
  }
  // The engine removes a network with stopped containers.
  for (const state of ["exited", "created", "dead"]) assert.deepEqual(found({ state }), []);
  assert.deepEqual(found(at([full("inner"), "10.2.0.9"])), []);
  assert.deepEqual(found({}, false), []);
  // Our own container is removed too.
  assert.deepEqual(found({ ...labelledFor(id), name: full("stranger") }), []);
});

Deno.test("findChanges() keeps a base whose network a foreign container shares", () => {
  const obstacle = (name: string, host: string) =>
    `obstacle: container ${name}, which does not belong to this topology, shares the network of ` +
    `container ${host}: stop or remove it`;
  const shared = (host: string, change: Partial<ContainerInfo> = {}) => ({
    ...guest,
    ...at(),
    networkMode: `container:${containerOf(host).id}`,
    ...change,
  });
  const found = (containers: ContainerInfo[], otherwise: Otherwise = { web: { state: "dead" } }) =>
    obstaclesOf(inventory(otherwise, { containers }));
  const renamedService = { ...containerOf("web-ssh"), id: "x", name: "kept" };
  for (const state of ["running", "paused", "restarting"]) {
    assert.deepEqual(found([shared("web", { state })]), [obstacle("stranger", "web")]);
    assert.deepEqual(found([{ ...renamedService, state }]), [obstacle("kept", "web")]);
  }
  // Podman keeps the name from the request.
  const byName = { networkMode: `container:${full("web")}` };
  assert.deepEqual(found([shared("web", byName)]), [obstacle("stranger", "web")]);
  assert.deepEqual(found([shared("web-ssh")]), [obstacle("stranger", "web-ssh")]);
  assert.deepEqual(found([shared("web", { state: "exited" })]), []);
  assert.deepEqual(found([shared("db")]), []);
  assert.deepEqual(found([shared("web")], {}), []);
  // A network may have the name of a container.
  assert.deepEqual(found([shared("web", { networkMode: full("web") })]), []);
  assert.deepEqual(removalsOf(inventory({}, { containers: [shared("web")] })), [
    ...everything,
    obstacle("stranger", "web"),
  ]);
});

Deno.test("findChanges() names a foreign container with a planned address", () => {
  const obstacle = "obstacle: container kept, which does not belong to this topology, has the " +
    "address 10.2.0.6 on inner: stop or remove it";
  const kept = { ...db, id: "x", name: "kept" };
  assert.deepEqual(obstaclesOf(inventory({ db: null }, { containers: [kept] })), [obstacle]);
  const stopped = { ...kept, ...idle("db", "exited") };
  assert.deepEqual(obstaclesOf(inventory({ db: null }, { containers: [stopped] })), []);
  assert.deepEqual(obstaclesOf(inventory({}, { containers: [kept] })), []);
});

Deno.test("findRemovals() removes unlabelled objects that look as planned", () => {
  const bare = inventory(all(unlabelled));
  assert.deepEqual(removalsOf(bare), everything);
  assert.deepEqual(removalsOf(bare, noDocument), []);
});

Deno.test("findRemovals() sorts networks backwards and keeps its input", () => {
  const networks = ["b", "B", "a", "10", "9", "\u{1f600}", "\uffff"]
    .map((name) => ({ ...dmz, id: name, name: full(name) }));
  const before = [...networks];
  assert.deepEqual(
    removalsOf({ networks, containers: [] }, noDocument).map((line) => line.split(" ").at(-1)),
    ["\u{1f600}", "\uffff", "b", "a", "B", "9", "10"],
  );
  assert.deepEqual(networks, before);
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

/** Checks 400 random hosts, the same ones in each run. */
async function forEachHost(
  kind: "beside others" | "obstructed",
  check: (round: Round) => void,
): Promise<void> {
  for (let seed = 1; seed <= 400; seed++) {
    const random = new SeededRandom(seed);
    const plan = await planTopology(randomTopology(random), defaultPlanOptions);
    const before = random.isOneIn(2)
      ? plan
      : await planTopology(randomTopology(random), defaultPlanOptions);
    const foreign = unmanaged(plan, random, kind === "obstructed");
    const existing = together(worn(before, random), foreign);
    try {
      check({ plan, existing, foreign, imageIds: imagesOf(plan) });
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
}

function changesFor({ plan, imageIds }: Round, existing: Inventory): Changes {
  const changes = findChanges(plan, existing, imageIds);
  const taken = findTakenSubnets(changes.networks, existing.networks, []);
  return { ...changes, obstacles: [...taken, ...changes.obstacles] };
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
  await forEachHost("beside others", (round) => {
    const { plan, existing, imageIds } = round;
    const changes = changesFor(round, existing);
    assertUntouched(round, changes);
    if (changes.obstacles.length > 0) {
      assert.ok(hasBare(existing), changes.obstacles.join("\n"));
      return;
    }
    count++;
    const after = carryOut(changes, existing, imageIds);
    assert.deepEqual(changesFor(round, after), { ...nothing, obstacles: [] });
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
  await forEachHost("obstructed", (round) => {
    const changes = changesFor(round, round.existing);
    assertUntouched(round, changes);
    if (changes.obstacles.length > 0) return void count++;
    // There was no conflict, so the changes must work.
    const after = carryOut(changes, round.existing, round.imageIds);
    assert.deepEqual(changesFor(round, after).obstacles, []);
  });
  assert.ok(count > 200, `only ${count} hosts had obstacles`);
});

Deno.test("findRemovals() leaves nothing of ours, and all that belongs to others", async () => {
  await forEachHost("beside others", (round) => {
    const { plan, existing, foreign, imageIds } = round;
    for (const known of [plan, null]) {
      const removals = findRemovals({ topologyId: id, plan: known }, existing);
      assertUntouched(round, removals);
      if (removals.obstacles.length > 0) {
        assert.ok(hasBare(existing), removals.obstacles.join("\n"));
        continue;
      }
      const after = carryOut(removals, existing, imageIds);
      const left = [...after.networks, ...after.containers] as Fact[];
      const theirs = [...foreign.networks, ...foreign.containers] as Fact[];
      assert.deepEqual(left.filter((it) => isOurs(it) && !theirs.includes(it)), []);
      for (const it of theirs) assert.ok(left.includes(it), it.name);
    }
  });
});
