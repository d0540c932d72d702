import {
  formatAddress,
  overlaps,
  parseCidr,
  parseMapped,
  rangeOf,
  type Subnet,
  subnetOf,
} from "./address.ts";
import type { NetworkChange } from "./changes.ts";
import type { NetworkInfo } from "./inventory.ts";

/** Addresses that a new LAN may not take: Docker would, and cut the host off from them. */
export interface ReservedRange {
  readonly range: Subnet;
  /** Follows the subnet in a message, such as `overlaps 10.0.0.0/24 of this host's interface eth0`. */
  readonly conflict: string;
}

/** Reserves the subnet of an address of one of this host's interfaces, such as 10.0.0.5/24. */
export function reserveInterface(name: string, cidr: string): ReservedRange[] {
  const parsed = parseCidr(cidr);
  if (parsed === null) return [];
  const { address, prefixLength } = parsed;
  // With a length of 0, its network is what a default route leads to.
  const range = subnetOf({ address, prefixLength: prefixLength || 32 });
  return [{ range, conflict: `overlaps ${cidr} of this host's interface ${name}` }];
}

/** Reserves one address; none for a text that is no IPv4 address, as LANs have no others. */
export function reserveAddress(text: string, conflict: string): ReservedRange[] {
  const address = parseMapped(text);
  if (address === null) return [];
  return [{
    range: { first: address, last: address },
    conflict: `${conflict}, ${formatAddress(address)}`,
  }];
}

/**
 * Finds the networks to be created whose subnet is taken, also by a network that stays, which Docker
 * would reject late and without its name. Returns an obstacle for each.
 */
export function findTakenSubnets(
  changes: readonly NetworkChange[],
  existing: readonly NetworkInfo[],
  reserved: readonly ReservedRange[],
): string[] {
  const removed = new Set(changes.flatMap((it) => it.action === "remove" ? [it.actual] : []));
  // What a network of another driver than bridge holds is outside, and stays there without it.
  const staying = existing.filter((it) => it.driver !== "bridge" || !removed.has(it));
  const taken: (ReservedRange & { network?: string })[] = [
    ...staying.flatMap(({ name: network, subnets }) =>
      subnets.map((text) => {
        const conflict = `is taken by network ${network} (${text})`;
        return { network, range: rangeOf(text), conflict };
      })
    ),
    ...reserved,
  ];
  return changes.flatMap((change) => {
    if (change.action !== "create") return [];
    const { name, subnet } = change.planned;
    const wanted = rangeOf(subnet);
    const other = taken.find(({ network, range }) => network !== name && overlaps(range, wanted));
    if (!other) return [];
    const advice = other.network === undefined
      ? "choose another subnet"
      : "remove it, or choose another subnet";
    return [`subnet ${subnet} of ${name} ${other.conflict}: ${advice}`];
  });
}
