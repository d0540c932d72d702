import assert from "node:assert/strict";
import {
  asApplied,
  changesOf,
  full,
  id,
  imagesOf,
  inventory,
  ofAnother,
  plan,
  relabelled,
  remade,
  unlabelled,
} from "../../tests/sample_plan.ts";
import { type ContainerFact, imageLabel, topologyLabel } from "../inventory.ts";

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
    ...remade({ "db-sql": "its base is made anew" }),
    absent(base),
  ]);
});

Deno.test("findChanges() makes anew what an image is newer for, and that alone", () => {
  const imageIds = imagesOf(plan).set("decnet/ssh:latest", "sha256:newer");
  const reason = "image decnet/ssh:latest is a newer one";
  assert.deepEqual(changesOf(inventory(), { imageIds }), remade({ "web-ssh": reason }));
});

Deno.test("findChanges() does not break a network under a stranger", () => {
  const stranger: ContainerFact = {
    ...asApplied.containers[0]!,
    id: "stranger",
    name: "stranger",
    ...unlabelled,
    addressByNetwork: new Map([["bridge", "172.17.0.9"], [full("dmz"), "10.1.0.99"]]),
  };
  const obstacle = "obstacle: container stranger, which is not of this topology, uses network dmz";
  const obstaclesOf = (change: Partial<ContainerFact>, internal = true) =>
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
  const bare = (facts: typeof containers) => facts.map((it) => ({ ...it, ...unlabelled }));
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
