import type { Engine } from "../docker/engine.ts";
import { interfaceAddresses } from "../host/mod.ts";
import { type AppliedTopology, unknownDocument } from "../store/mod.ts";
import {
  type ImageNames,
  type Inventory,
  isImageReference,
  parseAddress,
  type Plan,
  planDocument,
} from "../topology/mod.ts";
import {
  addressesOutside,
  type Changes,
  findChanges,
  findRemovals,
} from "../topology/changes/mod.ts";

/** What an apply would have to do. */
export interface Prospect {
  /** What goes first, when another topology is superseded. */
  readonly removals: Changes;
  readonly changes: Changes;
  /** Image name → id, or null when the host has none. */
  readonly imageIds: ReadonlyMap<string, string | null>;
}

const nothing: Changes = { networks: [], containers: [], obstacles: [] };

/** Looks what it takes to apply a plan, in place of the topology `other` where there is one. */
export async function lookAhead(
  engine: Engine,
  plan: Plan,
  { other, images }: { other: AppliedTopology | null; images: ImageNames },
): Promise<Prospect> {
  const names = [...new Set(plan.containers.map(({ request }) => request.Image))];
  const [inventory, ids] = await Promise.all([
    engine.list(),
    // A name that Docker would not take is one that it does not have.
    Promise.all(names.map((name) => isImageReference(name) ? engine.imageId(name) : null)),
  ]);
  const removals = other ? await removalsOf(other, inventory, images) : nothing;
  const imageIds = new Map(names.map((name, index) => [name, ids[index]!]));
  const ownAddresses = interfaceAddresses().flatMap((it) => {
    const address = parseAddress(it.address);
    return address === null ? [] : [{ interface: it.interface, address }];
  });
  const hostAddresses = addressesOutside(inventory.networks, ownAddresses);
  const changes = findChanges(plan, without(inventory, removals), { imageIds, hostAddresses });
  return { removals, changes, imageIds };
}

/** What a teardown of a stored topology removes. */
export async function removalsOf(
  { topologyId, versionHash, document }: Pick<
    AppliedTopology,
    "topologyId" | "versionHash" | "document"
  >,
  inventory: Inventory,
  images: ImageNames,
): Promise<Changes> {
  const plan = await planOf(document, images);
  return findRemovals({ topologyId, plan, wasApplied: versionHash !== "" }, inventory);
}

/** The plan of a stored document; null when it is of no use: the labels have to do then. */
async function planOf(document: string, images: ImageNames): Promise<Plan | null> {
  if (document === unknownDocument) return null;
  try {
    return await planDocument(document, images);
  } catch {
    return null;
  }
}

function without({ networks, containers }: Inventory, removals: Changes): Inventory {
  const gone = new Set<unknown>(
    [...removals.networks, ...removals.containers].map((it) => it.action === "remove" && it.fact),
  );
  return {
    networks: networks.filter((it) => !gone.has(it)),
    containers: containers.filter((it) => !gone.has(it)),
  };
}
