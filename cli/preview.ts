import type { Preview } from "../apply/applier.ts";
import { sanitizeLine } from "../host/log.ts";
import type { ContainerChange, NetworkChange } from "../topology/changes.ts";
import { specLabel } from "../topology/inventory.ts";
import { type ContainerRequest, hiddenValue, type PlannedContainer } from "../topology/plan.ts";
import { plural } from "./report.ts";

/** A change, as `--json` prints it. */
interface ChangeJson {
  readonly action: (NetworkChange | ContainerChange)["action"];
  readonly type: "network" | "container";
  readonly name: string;
  readonly reason: string;
}

/** Returns what `apply --dry-run --json` prints: the plan, its changes, the conflict and obstacles. */
export function previewJson(preview: Preview) {
  const { plan, versionHash } = preview.validated;
  const { networks, containers } = plan;
  return {
    topology_id: plan.topologyId,
    version_hash: versionHash,
    networks: networks.map(({ name, request }) => ({ name, request })),
    containers: containers.map((it) => ({
      name: it.name,
      base: it.base,
      request: withoutDigest(it),
    })),
    changes: changesOf(preview),
    conflict: preview.conflict,
    obstacles: obstaclesOf(preview),
  };
}

/** A short value that is hidden could be guessed by means of the digest. */
function withoutDigest({ request, hiddenValues }: PlannedContainer): ContainerRequest {
  if (hiddenValues.size === 0) return request;
  return { ...request, Labels: { ...request.Labels, [specLabel]: hiddenValue } };
}

/** Returns the same for people: a line for each object that would change, the conflict and obstacles. */
export function previewText(preview: Preview): string {
  const { plan, versionHash } = preview.validated;
  const changes = changesOf(preview);
  // A network and a container may have the same name.
  const objects = [...Map.groupBy(changes, ({ type, name }) => `${type} ${name}`)];
  const width = Math.max(0, ...objects.map(([object]) => object.length));
  return [
    `topology ${plan.topologyId} at ${versionHash}`,
    ...objects.map(([object, its]) => `${object.padEnd(width)}  ${actionText(its)}`),
    changes.length === 0 ? "nothing would change" : plural(changes.length, "change"),
    ...(preview.conflict === null ? [] : [`refused: ${preview.conflict}`]),
    ...obstaclesOf(preview).map((obstacle) => `obstacle: ${obstacle}`),
  ].map((line) => `${sanitizeLine(line)}\n`).join("");
}

function changesOf({ removals, changes }: Preview): ChangeJson[] {
  return [
    ...removals.containers.map((it) => changeJson("container", it)),
    ...removals.networks.map((it) => changeJson("network", it)),
    ...changes.networks.map((it) => changeJson("network", it)),
    ...changes.containers.map((it) => changeJson("container", it)),
  ];
}

function changeJson(type: ChangeJson["type"], change: NetworkChange | ContainerChange): ChangeJson {
  const { name } = change.action === "remove" ? change.actual : change.planned;
  return { action: change.action, type, name, reason: change.reason };
}

function obstaclesOf({ removals, changes }: Preview): string[] {
  return [...removals.obstacles, ...changes.obstacles];
}

/** An object that is removed and created is shown as recreated. */
function actionText(changes: readonly ChangeJson[]): string {
  const creation = changes.find(({ action }) => action === "create");
  const { action, reason } = creation ?? changes[0]!;
  return `${creation && changes.length > 1 ? "recreate" : action}: ${reason}`;
}
