import { type Inventory, topologyLabel } from "../topology/mod.ts";

/** How names begin that any version of the agent, or the master's older deployments, have given. */
export const defaultPrefixes: readonly string[] = ["decnet_t_", "decnet-topology-"];

/** Whether a name begins with one of the prefixes. */
export function isNamed(name: string, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => name.startsWith(prefix));
}

/** What the configured prefixes and the label make ours: the engine is asked for more. */
export function oursOf(
  { networks, containers }: Inventory,
  { networkPrefixes, containerPrefixes }: {
    readonly networkPrefixes: readonly string[];
    readonly containerPrefixes: readonly string[];
  },
): Inventory {
  return {
    networks: networks.filter(({ name, labels }) =>
      labels.has(topologyLabel) || isNamed(name, networkPrefixes)
    ),
    containers: containers.filter(({ name, labels }) =>
      labels.has(topologyLabel) || isNamed(name, containerPrefixes)
    ),
  };
}
