import {
  type ContainerInfo,
  imageLabel,
  type NetworkInfo,
  specLabel,
  topologyLabel,
} from "./inventory.ts";

/**
 * What the labels of an object say: `none` without our label, `own` when the agent made it for this
 * topology, `other` for another topology, `inherited` when they came with the image, which may be a
 * copy by `docker commit`, `misnamed` when the name is not the topology's.
 */
export type Claim = "none" | "own" | "other" | "inherited" | "misnamed";

/** The beginning of the names of a topology's objects. */
export function namePrefix(topologyId: string): string {
  return `decnet_t_${topologyId.slice(0, 8)}_`;
}

/** Reads whether a network belongs to topology `id`. */
export function networkClaim(
  { name, labels }: Pick<NetworkInfo, "name" | "labels">,
  id: string,
): Claim {
  const label = labels.get(topologyLabel);
  if (label === undefined) return "none";
  if (label !== id) return "other";
  return name.startsWith(namePrefix(id)) ? "own" : "misnamed";
}

/** Reads whether a container belongs to topology `id`; a container inherits the labels of its image. */
export function containerClaim(actual: ContainerInfo, id: string): Claim {
  const claim = networkClaim(actual, id);
  const usedImage = actual.labels.get(imageLabel);
  if (claim === "other") return claim;
  if (claim === "none") return actual.labels.has(specLabel) ? "inherited" : "none";
  // No image has its own id among its labels.
  const isInherited = usedImage === undefined
    ? actual.imageLabels?.get(topologyLabel) === id
    : usedImage !== actual.imageId;
  if (isInherited) return "inherited";
  return isDying(actual) || isFirstAgentService(actual) ? "own" : claim;
}

/** Whether the engine has failed to remove a container, and has taken its name away. */
function isDying({ id, name, state }: ContainerInfo): boolean {
  return (state === "dead" || state === "removing") && name === id.slice(0, 12);
}

/** The first agent named its services without the topology's id. */
function isFirstAgentService({ name, labels, networkMode }: ContainerInfo): boolean {
  if (labels.has(specLabel) || labels.has(imageLabel)) return false;
  const decky = labels.get("decnet.topology.decky");
  const service = labels.get("decnet.topology.service_name");
  if (decky === undefined || service === undefined) return false;
  return networkMode.startsWith("container:") &&
    [`${decky}-${service}`, `${decky}-${service.replaceAll("_", "-")}`].includes(name);
}

/** Describes a claim for an operator; empty without our label. */
export function describeClaim(
  claim: Claim,
  { labels }: Pick<NetworkInfo, "labels">,
): string {
  if (claim === "other") return `of topology ${labels.get(topologyLabel)}`;
  return {
    none: "",
    own: "of this topology",
    inherited: "its labels came with its image",
    misnamed: "its label names this topology, its name does not",
  }[claim];
}
