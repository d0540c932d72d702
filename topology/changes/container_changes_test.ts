import assert from "node:assert/strict";
import {
  asApplied,
  changesOf,
  full,
  id,
  idle,
  inventory,
  ofAnother,
  type Otherwise,
  relabelled,
  remade,
  unlabelled,
  webRemade,
} from "../../tests/sample_plan.ts";
import { type ContainerFact, imageLabel, specLabel, topologyLabel } from "../inventory.ts";

Deno.test("findChanges() leaves containers alone that are as planned and run", () => {
  const cases: Otherwise[] = [
    {},
    { web: { unhealthy: true }, "web-http": { unhealthy: true } },
    { "web-http": { state: "restarting" } },
    { web: relabelled("web", { "some.other.label": "x" }) },
    // Those of before this label are not made anew for want of it.
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

Deno.test("findChanges() makes the services anew whose base is missing", () => {
  assert.deepEqual(changesOf(inventory({ db: null })), [
    "create container db: missing",
    ...remade({ "db-sql": "its base is made anew" }),
  ]);
});

Deno.test("findChanges() makes a base anew that is otherwise, and with it its services", () => {
  const [dmz, inner] = [full("dmz"), full("inner")];
  const newer = "image debian:bookworm-slim is a newer one";
  const at = (...entries: [string, string][]) => ({ addressByNetwork: new Map(entries) });
  const cases: [change: Partial<ContainerFact>, reason: string][] = [
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

Deno.test("findChanges() makes a service alone anew that is otherwise", () => {
  const cases: [change: Partial<ContainerFact>, reason: string][] = [
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
  const cases: [name: string, change: Partial<ContainerFact>, what: string][] = [
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
    ...remade({ db: reason, "db-sql": "its base is made anew" }),
  ]);
  const stopped = inventory({ db: { ...unlabelled, ...idle("db", "exited") } });
  assert.deepEqual(changesOf(stopped), remade({ db: reason, "db-sql": "its base is made anew" }));
});

Deno.test("findChanges() removes containers that have its label and are no longer wanted", () => {
  const db = asApplied.containers.find(({ name }) => name === full("db"))!;
  const named = (name: string, change: Partial<ContainerFact>) =>
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
