import type { PlannedContainer, PlannedNetwork } from "../../topology/mod.ts";
import { container, type ContainerItem, network, type NetworkItem } from "./items.ts";

/** A network as the engine lists it once it was made as planned. */
export function networkOf({ name, subnet, internal, request }: PlannedNetwork): NetworkItem {
  return network({ name, subnet, internal, labels: { ...request.Labels } });
}

/** A container that runs as planned, as the engine lists it. */
export function containerOf(
  { name, base, addressByNetwork, request }: PlannedContainer,
): ContainerItem {
  return container({
    name,
    image: request.Image,
    labels: { ...request.Labels },
    ...(base === null
      ? { addresses: Object.fromEntries(addressByNetwork) }
      : { networkMode: `container:${base}` }),
  });
}
