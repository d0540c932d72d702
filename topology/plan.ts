import type { Topology } from "./document.ts";

/** A network that must exist. */
export interface PlannedNetwork {
  readonly name: string;
  /** CIDR of its one address pool. */
  readonly subnet: string;
  /** No way out: every LAN but the DMZ. */
  readonly internal: boolean;
}

/** A container that must run. */
export interface PlannedContainer {
  readonly name: string;
  /** Network name → the container's IPv4 address there; empty for a service. */
  readonly addressByNetwork: ReadonlyMap<string, string>;
  /** The base container whose network a service shares; null for a base. */
  readonly base: string | null;
}

/** What a topology is in Docker. */
export interface Plan {
  readonly topologyId: string;
  readonly networks: readonly PlannedNetwork[];
  readonly containers: readonly PlannedContainer[];
}

/** The plan of a topology; the naming is part of the contract with the master (docs/protocol.md). */
export function planTopology(topology: Topology): Plan {
  const prefix = `decnet_t_${topology.id.slice(0, 8)}_`;
  const networkName = (lan: string) => prefix + lan.toLowerCase();
  return {
    topologyId: topology.id,
    networks: topology.lans.map(({ name, subnet, isDmz }) => ({
      name: networkName(name),
      subnet,
      internal: !isDmz,
    })),
    containers: topology.deckies.flatMap(({ name, services, addressByLan }) => {
      const base = prefix + name;
      const addresses = [...addressByLan].map(([lan, ip]) => [networkName(lan), ip] as const);
      return [
        { name: base, addressByNetwork: new Map(addresses), base: null },
        ...services.map((service) => ({
          name: `${base}-${service}`,
          addressByNetwork: new Map<string, string>(),
          base,
        })),
      ];
    }),
  };
}
