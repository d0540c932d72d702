import { isOverlapping, parseCidr, type Subnet, subnetOf } from "../address.ts";
import { networkChange, origin } from "../compare.ts";
import { type NetworkFact, topologyLabel } from "../inventory.ts";
import { isOurNetwork } from "./ownership.ts";
import type { Plan, PlannedNetwork } from "../plan.ts";

/** What is done to one network, and why. */
export type NetworkChange =
  & { readonly reason: string }
  & (
    | { readonly action: "create"; readonly planned: PlannedNetwork }
    | { readonly action: "remove"; readonly fact: NetworkFact }
  );

/** An address of one of this host's own interfaces. */
export interface HostAddress {
  readonly interface: string;
  /** 32 bits. */
  readonly address: number;
}

/** What is to be done to networks, the removals first, and what stands in the way. */
export function findNetworkChanges(
  { topologyId: id, networks: planned }: Plan,
  facts: readonly NetworkFact[],
  hostAddresses: readonly HostAddress[],
): { changes: NetworkChange[]; obstacles: string[] } {
  const removals: (NetworkChange & { action: "remove" })[] = [];
  const creations: (NetworkChange & { action: "create" })[] = [];
  const obstacles: string[] = [];
  const byName = Map.groupBy(facts, ({ name }) => name);
  for (const network of planned) {
    const namesakes = byName.get(network.name) ?? [];
    byName.delete(network.name);
    const ours = namesakes.filter((fact) => isOurNetwork(network, fact, id));
    obstacles.push(...namesakes.filter((fact) => !ours.includes(fact)).map(notOurs));
    const reason = reasonToMake(network, ours);
    if (reason === null) continue;
    removals.push(...ours.map((fact) => remove(fact, reason)));
    creations.push({ action: "create", planned: network, reason });
  }
  const unwanted = [...byName.values()].flat().filter(({ labels }) =>
    labels.get(topologyLabel) === id
  );
  removals.push(...unwanted.map((fact) => remove(fact, "no longer wanted")));
  const removed = new Set(removals.map(({ fact }) => fact));
  const staying = facts.filter((fact) => !removed.has(fact));
  for (const { planned } of creations) {
    const obstacle = subnetTaken(planned, staying) ?? hostAddressIn(planned, hostAddresses);
    if (obstacle !== null) obstacles.push(obstacle);
  }
  return { changes: [...removals, ...creations], obstacles };
}

function reasonToMake(planned: PlannedNetwork, [first, ...others]: NetworkFact[]): string | null {
  if (!first) return "missing";
  // Which of them a container is attached to cannot be told: none of them can be kept.
  return others.length > 0 ? "one of several of its name" : networkChange(planned, first);
}

function remove(fact: NetworkFact, reason: string) {
  return { action: "remove", fact, reason } as const;
}

function notOurs(fact: NetworkFact): string {
  const what = [`driver ${fact.driver}`, fact.subnets.join(" "), origin(fact)];
  return `network ${fact.name} exists and is not of this topology (${
    what.filter((part) => part !== "").join(", ")
  })`;
}

/** Docker refuses a subnet that is taken after other changes, in words that do not tell by whom. */
function subnetTaken(
  { name, subnet }: PlannedNetwork,
  staying: readonly NetworkFact[],
): string | null {
  const wanted = rangeOf(subnet);
  for (const other of staying) {
    if (other.name === name) continue;
    const taken = other.subnets.find((it) => isOverlap(rangeOf(it), wanted));
    if (taken !== undefined) {
      return `subnet ${subnet} of ${name} is taken by network ${other.name} (${taken})`;
    }
  }
  return null;
}

/** Docker would take such a subnet and cut this host off from its own neighbours. */
function hostAddressIn(
  { name, subnet }: PlannedNetwork,
  hostAddresses: readonly HostAddress[],
): string | null {
  const wanted = rangeOf(subnet);
  const own = hostAddresses.find(({ address }) => contains(wanted, address));
  if (!own) return null;
  return `subnet ${subnet} of ${name} holds an address of this host's interface ${own.interface}`;
}

/** The addresses without those that this host has in Docker's networks, on their bridges. */
export function addressesOutside(
  networks: readonly NetworkFact[],
  hostAddresses: readonly HostAddress[],
): HostAddress[] {
  const ranges = networks.flatMap(({ subnets }) => subnets.map(rangeOf));
  return hostAddresses.filter(({ address }) => !ranges.some((it) => contains(it, address)));
}

/** Docker takes a subnet with bits set behind its prefix, too, and keeps it as written. */
function rangeOf(subnet: string): Subnet | null {
  const cidr = parseCidr(subnet);
  return cidr && subnetOf(cidr);
}

function isOverlap(a: Subnet | null, b: Subnet | null): boolean {
  return a !== null && b !== null && isOverlapping(a, b);
}

function contains(range: Subnet | null, address: number): boolean {
  return range !== null && range.first <= address && address <= range.last;
}
