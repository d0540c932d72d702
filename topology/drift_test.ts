import assert from "node:assert/strict";
import {
  asApplied,
  base,
  baseContainer,
  lan,
  network,
  plan,
  service,
  serviceContainer,
  told,
  toldOf,
  withBase,
  withService,
} from "../tests/sample_inventory.ts";
import { findDrift } from "./drift.ts";
import type { ContainerFact } from "./inventory.ts";

Deno.test("findDrift() finds nothing where all is as applied", () => {
  assert.deepEqual(findDrift(plan, asApplied), {
    state: "consistent",
    missing: [],
    stopped: [],
    unhealthy: [],
    changed: [],
    unexpected: [],
  });
});

Deno.test("findDrift() tells an idle host with nothing on it from one with leftovers", () => {
  assert.equal(findDrift(null, { networks: [], containers: [] }).state, "consistent");
  const drift = findDrift(null, asApplied);
  assert.equal(drift.state, "drifted");
  const origin = "of topology 11111111-2222-3333-4444-555555555555";
  assert.deepEqual(told(drift), [
    `unexpected container ${base}: running, ${origin}`,
    `unexpected container ${service}: running, ${origin}`,
    `unexpected network ${lan}: ${origin}`,
  ]);
});

Deno.test("findDrift() lets an idle host keep containers that stand still, and no networks", () => {
  const withState = (state: string) =>
    told(findDrift(null, {
      networks: [],
      containers: [{ ...baseContainer, state, labels: new Map() }],
    }));
  for (const state of ["created", "exited", "removing", "dead"]) {
    assert.deepEqual(withState(state), [], state);
  }
  for (const state of ["running", "paused", "restarting"]) {
    assert.deepEqual(withState(state), [`unexpected container ${base}: ${state}`]);
  }
  const leftovers = { networks: [network], containers: [{ ...baseContainer, state: "exited" }] };
  assert.deepEqual(told(findDrift(null, leftovers)), [
    "unexpected network decnet_t_11111111_lan-00: " +
    "of topology 11111111-2222-3333-4444-555555555555",
  ]);
  // Where a topology is applied, even an empty one, they are in nobody's way but unexpected.
  assert.deepEqual(told(findDrift({ topologyId: "A", networks: [], containers: [] }, leftovers)), [
    "unexpected container decnet_t_11111111_decky-001: " +
    "exited, of topology 11111111-2222-3333-4444-555555555555",
    "unexpected network decnet_t_11111111_lan-00: " +
    "of topology 11111111-2222-3333-4444-555555555555",
  ]);
});

Deno.test("findDrift() finds what is missing", () => {
  assert.deepEqual(toldOf({ networks: [] }), [`missing network ${lan}`]);
  assert.deepEqual(toldOf({ containers: [baseContainer] }), [`missing container ${service}`]);
  assert.deepEqual(toldOf({ networks: [], containers: [] }), [
    `missing container ${base}`,
    `missing container ${service}`,
    `missing network ${lan}`,
  ]);
});

Deno.test("findDrift() blames a missing base, and not the service that hung on it", () => {
  assert.deepEqual(toldOf({ containers: [serviceContainer] }), [`missing container ${base}`]);
});

Deno.test("findDrift() finds what is stopped, in every state that is", () => {
  for (const state of ["created", "exited", "removing", "dead", "a word of a newer engine"]) {
    // The engine forgets the address of a container that does not run.
    const addressByNetwork = new Map([[lan, ""]]);
    assert.deepEqual(withBase({ state, addressByNetwork }), [
      `stopped container ${base}: ${state}`,
    ]);
    assert.deepEqual(withService({ state }), [`stopped container ${service}: ${state}`]);
  }
});

Deno.test("findDrift() finds what is unhealthy: restarting, paused or failing its check", () => {
  const addressByNetwork = new Map([[lan, ""]]);
  assert.deepEqual(
    withBase({ state: "restarting", addressByNetwork }),
    [`unhealthy container ${base}: restarting`],
  );
  assert.deepEqual(withService({ state: "paused" }), [`unhealthy container ${service}: paused`]);
  assert.deepEqual(
    withService({ unhealthy: true }),
    [`unhealthy container ${service}: health check failing`],
  );
});

Deno.test("findDrift() finds what is unexpected, whether it runs or not", () => {
  const stray: ContainerFact = { ...baseContainer, name: "decnet-old", labels: new Map() };
  assert.deepEqual(
    toldOf({ containers: [...asApplied.containers, { ...stray, state: "exited" }] }),
    ["unexpected container decnet-old: exited"],
  );
  assert.deepEqual(
    toldOf({ networks: [network, { ...network, name: "decnet_t_old", labels: new Map() }] }),
    ["unexpected network decnet_t_old"],
  );
});

Deno.test("findDrift() keeps a network and a container of the same name apart", () => {
  const name = "decnet_t_same";
  const found = toldOf({
    networks: [network, { ...network, name }],
    containers: [...asApplied.containers, { ...baseContainer, name, labels: new Map() }],
  });
  assert.deepEqual(found, [
    `unexpected network ${name}: of this topology`,
    `unexpected container ${name}: running`,
  ]);
  const swapped = {
    networks: [{ ...network, name: base }],
    containers: [{ ...baseContainer, name: lan }, serviceContainer],
  };
  assert.deepEqual(told(findDrift(plan, swapped)).map((line) => line.split(":")[0]), [
    `missing container ${base}`,
    `missing network ${lan}`,
    `unexpected network ${base}`,
    `unexpected container ${lan}`,
  ]);
});

Deno.test("findDrift() sorts each list by code point", () => {
  const names = [
    "decnet-b",
    "decnet-B",
    "decnet-10",
    "decnet-9",
    "decnet-\u{1f600}",
    "decnet-\uffff",
  ];
  const containers = names.map((name) => ({ ...baseContainer, name }));
  const drift = findDrift(null, { networks: [{ ...network, name: "decnet-a" }], containers });
  assert.deepEqual(drift.unexpected.map(({ name }) => name), [
    "decnet-10",
    "decnet-9",
    "decnet-B",
    "decnet-a",
    "decnet-b",
    "decnet-\uffff",
    "decnet-\u{1f600}",
  ]);
});
