import assert from "node:assert/strict";
import type { Plan, PlannedContainer, PlannedNetwork } from "../../topology/mod.ts";
import { addressOf, checkApart, rangeOf } from "./address_oracle.ts";
import { checkContainerRequest, checkNetworkRequest } from "./request_oracle.ts";

/** What Docker takes as a name. */
const dockerName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** Sees that a plan holds nothing but what the contract with the master allows. */
export function checkPlan({ topologyId, networks, containers }: Plan): void {
  assert.match(topologyId, /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/);
  const prefix = `decnet_t_${topologyId.slice(0, 8)}_`;
  const all = [...networks, ...containers];
  for (const { name } of all) checkName(name, prefix);
  checkUnique(networks.map(({ name }) => name));
  checkUnique(containers.map(({ name }) => name));
  for (const network of networks) checkNetwork(network, topologyId);
  checkApart(networks.map(({ subnet }) => rangeOf(subnet)));
  const subnets = new Map(networks.map(({ name, subnet }) => [name, subnet]));
  checkAddresses(containers, subnets);
  const bases = new Set(containers.filter(({ base }) => base === null).map(({ name }) => name));
  for (const container of containers) {
    assert.ok(container.base === null || bases.has(container.base), "a service without a base");
    assert.equal(container.base === null, container.service === null);
    checkContainerRequest(container, topologyId);
  }
}

function checkName(name: string, prefix: string): void {
  assert.match(name, dockerName);
  assert.ok(name.startsWith(prefix) && name.length > prefix.length, `name ${name}`);
  assert.ok(name.length <= 200, `name ${name}`);
}

function checkUnique(names: readonly string[]): void {
  assert.equal(new Set(names).size, names.length, "a name stands twice");
}

function checkNetwork(network: PlannedNetwork, id: string): void {
  assert.equal(network.name.slice(18), network.name.slice(18).toLowerCase());
  checkNetworkRequest(network, id);
}

/** Each address lies in its subnet, is neither of its ends nor the gateway's, and is given once. */
function checkAddresses(
  containers: readonly PlannedContainer[],
  subnets: ReadonlyMap<string, string>,
): void {
  const taken = new Set<string>();
  for (const { addressByNetwork, base } of containers) {
    assert.equal(addressByNetwork.size > 0, base === null);
    for (const [network, text] of addressByNetwork) {
      const { first, last } = rangeOf(subnets.get(network) ?? "");
      const address = addressOf(text);
      assert.ok(address > first + 1n && address < last, `address ${text} on ${network}`);
      assert.ok(!taken.has(`${network} ${address}`), `address ${text} is given twice`);
      taken.add(`${network} ${address}`);
    }
  }
}
