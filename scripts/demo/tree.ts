import { type Branch, drawTree } from "../../cli/state.ts";
import {
  type ContainerInfo,
  type Inventory,
  isRunning,
  isService,
} from "../../topology/inventory.ts";

/**
 * What an engine has of one topology, a line each: the networks, and on each its deckies with their
 * addresses and services, without the `prefix` that all names bear.
 */
export function treeOf({ networks, containers }: Inventory, prefix: string): string[] {
  const short = (name: string) => name.startsWith(prefix) ? name.slice(prefix.length) : name;
  const sorted = [...containers].sort((a, b) => a.name < b.name ? -1 : 1);
  const bases = sorted.filter((it) => !isService(it));
  const servicesOf = (base: ContainerInfo) =>
    sorted.filter((it) => it.networkMode === `container:${base.id}`)
      .map((it) => `${it.labels.get("decnet.topology.service_name")}${stateOf(it)}`);
  const lans = [...networks].sort((a, b) => a.name < b.name ? -1 : 1).map((network): Branch => ({
    cells: [short(network.name), network.subnets.join(" "), network.internal ? "internal" : "DMZ"],
    below: bases.filter((it) => it.addressByNetwork.has(network.name)).map((it): Branch => ({
      cells: [
        `${short(it.name)}${stateOf(it)}`,
        it.addressByNetwork.get(network.name)!,
        servicesOf(it).join(", "),
      ],
      below: [],
    })),
  }));
  return [`${prefix}…`, ...drawTree(lans).map(({ text }) => text)];
}

function stateOf(container: ContainerInfo): string {
  return isRunning(container) ? "" : ` (${container.state})`;
}
