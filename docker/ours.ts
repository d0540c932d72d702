import { type Inventory, topologyLabel } from "../topology/mod.ts";

/** How the names begin of what is ours without a label. */
export interface Prefixes {
  readonly networkPrefixes: readonly string[];
  readonly containerPrefixes: readonly string[];
}

/** Whether a name begins with one of the prefixes. */
export function isNamed(name: string, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => name.startsWith(prefix));
}

/** Whether somebody has said that an object belongs to a topology. */
export function isLabelled({ labels }: { readonly labels: ReadonlyMap<string, string> }): boolean {
  return labels.has(topologyLabel);
}

/** What a label or a prefix makes ours. */
export function oursOf(
  { networks, containers }: Inventory,
  { networkPrefixes, containerPrefixes }: Prefixes,
): Inventory {
  return {
    networks: networks.filter((it) => isLabelled(it) || isNamed(it.name, networkPrefixes)),
    containers: containers.filter((it) => isLabelled(it) || isNamed(it.name, containerPrefixes)),
  };
}
