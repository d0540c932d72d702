import assert from "node:assert/strict";
import {
  full,
  id,
  madeContainer,
  madeNetwork,
  ofAnother,
  plannedContainer,
  plannedNetwork,
  relabelled,
  unlabelled,
} from "../../tests/sample_plan.ts";
import { type ContainerFact, type NetworkFact, specLabel, topologyLabel } from "../inventory.ts";
import { isOurContainer, isOurNetwork } from "./ownership.ts";

const empty = { labels: new Map([[topologyLabel, ""]]) };

Deno.test("isOurNetwork() goes by the label, and without one by driver and subnet", () => {
  const cases: [change: Partial<NetworkFact>, isOurs: boolean][] = [
    [{}, true],
    [{ driver: "macvlan", subnets: [], internal: true }, true],
    [relabelled("dmz", { [specLabel]: "x" }), true],
    [ofAnother, false],
    [empty, false],
    [unlabelled, true],
    [{ ...unlabelled, internal: true }, true],
    [{ ...unlabelled, driver: "macvlan" }, false],
    [{ ...unlabelled, subnets: [] }, false],
    [{ ...unlabelled, subnets: ["10.1.0.0/16"] }, false],
    [{ ...unlabelled, subnets: ["10.1.0.0/24", "10.9.0.0/24"] }, false],
  ];
  const planned = plannedNetwork("dmz");
  for (const [change, isOurs] of cases) {
    const fact = { ...madeNetwork(planned), ...change };
    assert.equal(isOurNetwork(planned, fact, id), isOurs, JSON.stringify(change));
  }
});

const base = madeContainer(plannedContainer("web"));
const cases: [name: string, change: Partial<ContainerFact>, isOurs: boolean][] = [
  ["web", {}, true],
  ["web", { addressByNetwork: new Map() }, true],
  ["web", relabelled("web", { [specLabel]: "x" }), true],
  ["web", ofAnother, false],
  ["web", empty, false],
  ["web", unlabelled, true],
  ["web", { ...unlabelled, labels: new Map([[specLabel, "x"]]) }, false],
  ["web", { ...unlabelled, addressByNetwork: new Map([[full("dmz"), "10.1.0.5"]]) }, false],
  ["web-ssh", {}, true],
  ["web-ssh", { networkMode: "default" }, true],
  ["web-ssh", ofAnother, false],
  ["web-ssh", unlabelled, true],
  ["web-ssh", { ...unlabelled, networkMode: `container:${base.name}` }, true],
  ["web-ssh", { ...unlabelled, networkMode: "container:another" }, false],
  ["web-ssh", { ...unlabelled, networkMode: "" }, false],
];
Deno.test("isOurContainer() goes by the label, and without one by what it is attached to", () => {
  for (const [name, change, isOurs] of cases) {
    const planned = plannedContainer(name);
    const fact = { ...madeContainer(planned), ...change };
    const label = `${name} ${JSON.stringify(change)}`;
    assert.equal(isOurContainer(planned, fact, { base, id }), isOurs, label);
  }
});

Deno.test("isOurContainer() cannot tell whose a service is without label and base", () => {
  const planned = plannedContainer("web-ssh");
  const around = { base: undefined, id };
  assert.equal(isOurContainer(planned, madeContainer(planned), around), true);
  assert.equal(
    isOurContainer(planned, { ...madeContainer(planned), ...unlabelled }, around),
    false,
  );
});
