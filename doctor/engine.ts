import { describeDrift } from "../agent/change_log.ts";
import type { KnownDrift } from "../agent/snapshot.ts";
import { hasPrefix, selectManaged } from "../docker/observe.ts";
import { unknownDocument } from "../store/row.ts";
import { findDrift } from "../topology/drift.ts";
import { topologyLabel } from "../topology/inventory.ts";
import { planDocument } from "../topology/plan.ts";
import {
  type Check,
  type DoctorContext,
  failed,
  ok,
  type Result,
  skipped,
  warning,
} from "./context.ts";
import { describe, look, mayUse, quote, reading, writing } from "./files.ts";
import { hasUnit } from "./service_files.ts";
import { applyAgain } from "./store.ts";

/** The usual sockets, and the unit that makes each. */
const usual = [
  ["/var/run/docker.sock", "docker.service", "docker"],
  ["/run/podman/podman.sock", "podman.socket", "podman.socket"],
] as const;

/** Whether the engine's socket is there, and open to the agent. */
export const socket: Check = {
  name: "socket",
  code: 2,
  async run(context) {
    const { sockets } = context.options.agent;
    const sights = await Promise.all(sockets.map(look));
    const index = sights.findIndex((sight) => sight !== "absent");
    const [path, sight] = [sockets[index], sights[index]];
    if (path === undefined || sight === undefined || sight === "absent") return absent(context);
    const user = await context.agentUser();
    if (sight === "forbidden") return hidden(path, user.name);
    if (!sight.isSocket) {
      const what = `${path} is no socket${sight.isDirectory ? ", but a folder" : ""}`;
      if (sight.isDirectory) {
        // Docker makes one for a mount whose source is missing.
        return failed(what, `rmdir ${quote(path)} && systemctl restart ${engineUnit(path)}`);
      }
      return failed(what, context.options.commandToSet("docker-host", `unix://${usual[0][0]}`));
    }
    // Of the groups and of what else opens a socket, the files know only a part; who looks for
    // himself sees.
    if (user.uid !== context.user.uid && !mayUse(user, sight, reading | writing)) {
      return await forbidden(context, path, sight);
    }
    return await connect(context, path, sight);
  },
};

/** The unit to restart for the engine behind a socket. */
function engineUnit(path: string): string {
  return path.includes("podman") ? "podman.socket" : "docker";
}

async function absent({ options: { agent: { sockets }, commandToSet }, root }: DoctorContext) {
  const text = sockets.length === 1
    ? `${sockets[0]}: no such socket`
    : `none of ${sockets.join(", ")} exists`;
  // What is configured may be the wrong one.
  for (const [path] of usual) {
    if (sockets.includes(path)) continue;
    const sight = await look(`${root}${path}`);
    if (typeof sight === "object" && sight.isSocket) {
      return failed(`${text}, but there is ${path}`, commandToSet("docker-host", `unix://${path}`));
    }
  }
  for (const [path, file, name] of usual) {
    if (sockets.includes(path) && await hasUnit(root, file)) {
      return failed(text, `systemctl enable --now ${name}`);
    }
  }
  const wantsPodman = sockets.every((path) => path.includes("podman"));
  if (sockets.some((path) => usual.some(([it]) => it === path))) {
    const names = wantsPodman ? ["podman", "podman.socket"] : ["docker.io", "docker"];
    return failed(
      `${text}, and the engine is not installed`,
      `apt-get install ${names[0]} && systemctl enable --now ${names[1]}`,
    );
  }
  return failed(text, `systemctl restart ${engineUnit(sockets[0] ?? "")}`);
}

function hidden(path: string, user: string): Result {
  const folder = path.replace(/\/[^/]*$/, "") || "/";
  return failed(
    `${path}: user ${user} may not look into ${folder}`,
    `setfacl -m u:${user}:x ${quote(folder)}`,
  );
}

async function forbidden(
  context: DoctorContext,
  path: string,
  info: Deno.FileInfo,
): Promise<Result> {
  const user = await context.agentUser();
  const gid = info.gid ?? 0;
  const group = context.accounts.groupName(gid);
  const details = [
    `permission denied: user ${user.name} is not in group ${group}`,
    `${path}: ${describe(info, context.accounts)}`,
  ];
  // To be in root's group would be far more than a socket.
  const isForGroup = mayUse({ ...user, groups: new Set([gid]) }, info, reading | writing);
  if (isForGroup && gid !== 0) return failed(details, `usermod -aG ${group} ${user.name}`);
  return failed(details, `setfacl -m u:${user.name}:rw ${quote(path)}`);
}

async function connect(context: DoctorContext, path: string, info: Deno.FileInfo): Promise<Result> {
  const { accounts, user } = context;
  const details = `${path}: ${describe(info, accounts)}`;
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return ok(`${details}; it takes connections`);
  } catch (error) {
    const restart = `systemctl restart ${engineUnit(path)}`;
    if (error instanceof Deno.errors.ConnectionRefused) {
      return failed([`${path}: nobody listens`, details], restart);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      if (!mayUse(user, info, reading | writing)) return await forbidden(context, path, info);
      // The files have this user in the group: the process is older than that.
      const group = accounts.groupName(info.gid ?? 0);
      const text = `permission denied: user ${user.name} is in group ${group}, but this login is ` +
        "older than that";
      return failed([text, details], `newgrp ${group}`);
    }
    return failed([`${path}: ${(error as Error).message}`, details], restart);
  }
}

/** Whether the engine answers, and which it is. */
export const engine: Check = {
  name: "engine",
  code: 2,
  async run(context) {
    const found = await context.engine();
    if ("error" in found) {
      if (!found.isReached) return skipped("its socket cannot be used");
      return failed(found.error, `systemctl restart ${engineUnit(found.socket ?? "")}`);
    }
    const { version, apiVersion, latencyMs } = found.observation.engine;
    const { inventory } = found.observation;
    const { networks, containers } = selectManaged(inventory, context.options.agent);
    return ok(
      `version ${version ?? "unknown"}, API ${apiVersion ?? "unknown"}, ` +
        `answered in ${Math.round(latencyMs)} ms`,
      `${networks.length} networks and ${containers.length} containers are ours`,
    );
  },
};

/** How the names of what any version of the agent has made begin. */
const usualPrefixes = {
  "network-prefix": ["decnet_t_", "decnet-topology-"],
  "container-prefix": ["decnet_t_", "decnet-topology-"],
} as const;
/** How many names are written out. */
const namesShown = 3;

/** Whether the prefixes are those by which the objects of this host go. */
export const prefixes: Check = {
  name: "prefixes",
  code: 2,
  async run(context) {
    const found = await context.engine();
    if ("error" in found) return skipped("the engine does not answer");
    const { networkPrefixes, containerPrefixes } = context.options.agent;
    const { networks, containers } = found.observation.inventory;
    const kinds = [
      ["network-prefix", networkPrefixes, networks.map(({ name }) => name)],
      ["container-prefix", containerPrefixes, containers.map(({ name }) => name)],
    ] as const;
    const details: string[] = [];
    const settings: [key: keyof typeof usualPrefixes, value: string][] = [];
    for (const [key, list, names] of kinds) {
      const missed = names.filter((name) =>
        !hasPrefix(name, list) && hasPrefix(name, usualPrefixes[key])
      );
      if (missed.length === 0) continue;
      const shown = missed.slice(0, namesShown).join(", ");
      const more = missed.length > namesShown ? ` and ${missed.length - namesShown} more` : "";
      details.push(
        `${key} is ${list.join(",")}, by which ${shown}${more} would not be known as ours`,
      );
      settings.push([key, wider(key, list, missed)]);
    }
    if (details.length > 0) return warning(details, context.options.commandToSetAll(settings));
    return ok(
      `${networkPrefixes.join(",")} for networks`,
      `${containerPrefixes.join(",")} for containers`,
    );
  },
};

/** The configured prefixes, and those that are lacking. */
function wider(
  key: keyof typeof usualPrefixes,
  list: readonly string[],
  missed: readonly string[],
) {
  const lacking = usualPrefixes[key].filter((prefix) =>
    missed.some((name) => name.startsWith(prefix))
  );
  return [...list, ...lacking].join(",");
}

/** Whether Docker is as it was applied. */
export const drift: Check = {
  name: "drift",
  code: 2,
  async run(context) {
    const [engine, stored] = await Promise.all([context.engine(), context.store()]);
    if ("error" in engine) return skipped("the engine does not answer");
    if (stored.state !== "read" && stored.state !== "absent") {
      return skipped("the store was not read");
    }
    const applied = stored.state === "read" ? stored.applied : null;
    const inventory = selectManaged(engine.observation.inventory, context.options.agent);
    let found: KnownDrift;
    try {
      if (applied?.document === unknownDocument) return skipped("the store holds no document");
      const { images } = context.options.agent;
      const plan = applied && await planDocument(applied.document, images);
      found = findDrift(plan, inventory);
    } catch (error) {
      found = { state: "unknown", detail: (error as Error).message };
    }
    const text = describeDrift(found);
    if (text === null) {
      return ok(applied ? "Docker is as applied" : "nothing is applied, nothing runs");
    }
    if (applied) return warning(text, await applyAgain(context));
    const labelled = [...inventory.containers, ...inventory.networks]
      .map(({ labels }) => labels.get(topologyLabel)).find((id) => id !== undefined);
    const details = [
      `nothing is applied, but there is: ${text}`,
      "where it should stay, apply it again, as a master does by itself; this removes it",
    ];
    if (labelled !== undefined && /^[\w.-]+$/.test(labelled)) {
      return warning(details, await context.command("teardown", labelled));
    }
    const [container] = inventory.containers;
    const remove = container && `docker rm -f ${quote(container.name)}`;
    return warning(details, remove ?? await context.command("state"));
  },
};
