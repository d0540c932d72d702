import type { Preview } from "../apply/applier.ts";
import { sanitizeLine } from "../host/log.ts";
import type { ContainerChange, NetworkChange } from "../topology/changes.ts";
import { specLabel } from "../topology/inventory.ts";
import {
  type ContainerRequest,
  hiddenValue,
  type PlannedContainer,
  publishedBy,
} from "../topology/plan.ts";
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

/** Returns the same as a tree of networks, deckies and services, each with what an apply would do. */
export function previewText(preview: Preview): string {
  const { plan, versionHash } = preview.validated;
  const changes = changesOf(preview);
  // A network and a container may have the same name.
  const changesByObject = Map.groupBy(changes, ({ type, name }) => `${type} ${name}`);
  const lines = new Map<string, string>();
  const details = new Map<string, string[]>();
  for (const { name, subnet, internal } of plan.networks) {
    lines.set(`network ${name}`, `├─ network ${name} ${subnet}${internal ? " internal" : ""}`);
  }
  for (const [base, ...services] of Map.groupBy(plan.containers, ({ decky }) => decky).values()) {
    const addresses = [...base!.addressByNetwork.values()].join(" ");
    lines.set(`container ${base!.name}`, `├─ decky ${base!.name} ${addresses}`);
    const ports = publishedBy(base!);
    if (ports.length > 0) {
      details.set(`container ${base!.name}`, [`│  publishes ${ports.join(" ")}`]);
    }
    for (const { name, service, request } of services) {
      const isLast = name === services.at(-1)!.name;
      lines.set(`container ${name}`, `│  ${isLast ? "└─" : "├─"} ${service} ${request.Image}`);
      details.set(`container ${name}`, [`│  ${isLast ? "  " : "│ "} ${serviceDetails(request)}`]);
    }
  }
  // Removed objects are not in the plan.
  for (const object of changesByObject.keys()) {
    if (!lines.has(object)) lines.set(object, `├─ ${object}`);
  }
  const width = Math.max(0, ...[...lines.values()].map((text) => text.length));
  return [
    `topology ${plan.topologyId} at ${versionHash}`,
    ...[...lines].flatMap(([object, text]) => [
      `${text.padEnd(width)}  ${actionText(changesByObject.get(object))}`.trimEnd(),
      ...details.get(object) ?? [],
    ]),
    `└─ ${changes.length === 0 ? "nothing would change" : plural(changes.length, "change")}`,
    ...(preview.conflict === null ? [] : [`refused: ${preview.conflict}`]),
    ...obstaclesOf(preview).map((obstacle) => `obstacle: ${obstacle}`),
  ].map((line) => `${sanitizeLine(line)}\n`).join("");
}

/** Returns the names of a service's variables, its capabilities and its mounts. */
function serviceDetails({ Env = [], HostConfig: { CapAdd = [], Binds = [] } }: ContainerRequest) {
  const names = Env.map((entry) => entry.slice(0, entry.indexOf("=")));
  const parts = [["environment", names], ["capabilities", CapAdd], ["mounts", Binds]] as const;
  return parts.filter(([, items]) => items.length > 0)
    .map(([what, items]) => `${what} ${items.join(" ")}`).join("; ");
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
function actionText(changes: readonly ChangeJson[] = []): string {
  const creation = changes.find(({ action }) => action === "create");
  const change = creation ?? changes[0];
  if (!change) return "";
  return `${creation && changes.length > 1 ? "recreate" : change.action}: ${change.reason}`;
}
