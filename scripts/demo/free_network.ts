import { isOverlapping, parseCidr, subnetOf } from "../../topology/address.ts";

/** Where to look: the first two numbers of private networks. */
const candidates: readonly string[] = [
  ...Array.from({ length: 191 }, (_, index) => `10.${64 + index}`),
  ...Array.from({ length: 14 }, (_, index) => `172.${18 + index}`),
  "192.168",
];

/**
 * The first two numbers of a network whose `A.B.0.0/22` has no address in common with `taken`, in
 * CIDR notation. The search begins at a random one, as not all that is taken can be seen from here.
 * Throws `Error` when there is none.
 */
export function findFreeNetwork(taken: readonly string[], random = Math.random()): string {
  const subnets = taken.map(parseCidr).filter((it) => it !== null).map(subnetOf);
  const start = Math.floor(random * candidates.length);
  const free = [...candidates.slice(start), ...candidates.slice(0, start)].find((validated) => {
    const wanted = subnetOf(parseCidr(`${validated}.0.0/22`)!);
    return !subnets.some((subnet) => isOverlapping(subnet, wanted));
  });
  if (free === undefined) throw new Error("no private network is free on this host");
  return free;
}

/** The networks that this host's interfaces are on, in CIDR notation. */
export function interfaceNetworks(): string[] {
  try {
    return Deno.networkInterfaces().map(({ cidr }) => cidr);
  } catch {
    return []; // Where the system does not tell, the engine's own networks have to do.
  }
}
