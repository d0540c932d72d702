import type { Preview } from "../apply/applier.ts";
import { sanitizeLine } from "../host/log.ts";
import type { ContainerChange, NetworkChange } from "../topology/changes.ts";
import type { PlannedContainer } from "../topology/plan.ts";
import { plural } from "./report.ts";

type Change = NetworkChange | ContainerChange;

/** What `apply --dry-run` prints as JSON: the plan, what an apply would do, and what is in its way. */
export function previewJson(preview: Preview) {
  const { plan, versionHash } = preview.validated;
  const { networks, containers } = plan;
  return {
    topology_id: plan.topologyId,
    version_hash: versionHash,
    networks: networks.map(({ name, request }) => ({ name, request })),
    containers: containers.map(({ name, base, request }) => ({ name, base, request })),
    changes: changesOf(preview).map((change) => ({
      action: change.action,
      type: typeOf(change),
      name: nameOf(change),
      reason: change.reason,
    })),
    conflict: preview.conflict,
    obstacles: obstaclesOf(preview),
  };
}

/** The same as a tree: networks, deckies, services, and behind each what an apply would do. */
export function previewText(preview: Preview): string {
  const { plan, versionHash } = preview.validated;
  // A network and a container may bear the same name.
  const changes = Map.groupBy(changesOf(preview), (it) => `${typeOf(it)} ${nameOf(it)}`);
  const take = (key: string) => {
    const action = actionOf(changes.get(key));
    changes.delete(key);
    return action;
  };
  const deckies = [...Map.groupBy(plan.containers, ({ decky }) => decky).values()];
  const obstacles = obstaclesOf(preview);
  const lines: [text: string, action: string][] = [
    ...plan.networks.map(({ name, subnet, internal }): [string, string] => [
      `├─ network ${name} ${subnet}${internal ? " internal" : ""}`,
      take(`network ${name}`),
    ]),
    ...deckies.flatMap(([base, ...services]): [string, string][] => [
      [`├─ decky ${base!.name} ${addressesOf(base!)}`, take(`container ${base!.name}`)],
      ...services.map(({ name, service, request }, index): [string, string] => [
        `│  ${index === services.length - 1 ? "└─" : "├─"} ${service} ${request.Image}`,
        take(`container ${name}`),
      ]),
    ]),
  ];
  // What is left belongs to nothing planned.
  for (const [key, its] of changes) lines.push([`├─ ${key}`, actionOf(its)]);
  const width = Math.max(0, ...lines.map(([text]) => text.length));
  const count = changesOf(preview).length;
  return [
    `topology ${plan.topologyId} at ${versionHash}`,
    ...lines.map(([text, action]) => `${text.padEnd(width)}  ${action}`.trimEnd()),
    `└─ ${count === 0 ? "nothing would change" : plural(count, "change")}`,
    ...(preview.conflict === null ? [] : [`refused: ${preview.conflict}`]),
    ...obstacles.map((obstacle) => `in the way: ${obstacle}`),
  ].map((line) => `${sanitizeLine(line)}\n`).join("");
}

function changesOf({ removals, changes }: Preview): Change[] {
  return [
    ...removals.containers,
    ...removals.networks,
    ...changes.networks,
    ...changes.containers,
  ];
}

function obstaclesOf({ removals, changes }: Preview): string[] {
  return [...removals.obstacles, ...changes.obstacles];
}

function nameOf(change: Change): string {
  return change.action === "remove" ? change.actual.name : change.planned.name;
}

function typeOf(change: Change): "network" | "container" {
  const it = change.action === "remove" ? change.actual : change.planned;
  return "subnet" in it || "subnets" in it ? "network" : "container";
}

/** What is removed and created is made anew. */
function actionOf(changes: readonly Change[] = []): string {
  const creation = changes.find(({ action }) => action === "create");
  const change = creation ?? changes[0];
  if (!change) return "";
  return `${creation && changes.length > 1 ? "recreate" : change.action}: ${change.reason}`;
}

function addressesOf({ addressByNetwork }: PlannedContainer): string {
  return [...addressByNetwork.values()].join(" ");
}
