import { describeDrift, type KnownDrift } from "../agent/snapshot.ts";
import { readFailure } from "../docker/errors.ts";
import {
  accessTo,
  findSocket,
  type Observation,
  observe,
  selectManaged,
} from "../docker/observe.ts";
import { folderOf } from "../host/files.ts";
import { firstNames } from "../host/log.ts";
import { type AppliedTopology, unknownDocument } from "../store/row.ts";
import { type Drift, driftKinds, findDrift } from "../topology/drift.ts";
import {
  containerClaim,
  type ContainerInfo,
  type Inventory,
  networkClaim,
  type NetworkInfo,
  topologyLabel,
} from "../topology/inventory.ts";
import { planDocument } from "../topology/plan.ts";
import { type DoctorContext, failed, ok, type Result, skipped, warning } from "./context.ts";
import { applyAgain, readStore } from "./storage.ts";
import { describe, look, mayUse, quotePath, reading, writing } from "./system.ts";
import { readUnit } from "./unit.ts";

const docker = { socket: "/var/run/docker.sock", unit: "docker.service" } as const;
const podman = { socket: "/run/podman/podman.sock", unit: "podman.socket" } as const;
const engines = [docker, podman] as const;

/** The command that restarts the engine behind a socket. */
function restartCommand(socket: string): string {
  return `systemctl restart ${socket.includes("podman") ? podman.unit : docker.unit}`;
}

function restartEngine(context: DoctorContext, socket: string): string {
  return context.withSystemd("restart the engine", restartCommand(socket));
}

function setSocket({ config }: DoctorContext, socket: string): string {
  return `set docker-host to unix://${socket} ${config.placeOf("docker-host")}`;
}

/** What is at the path of a socket, when it is not absent. */
type SocketInfo = Deno.FileInfo | "forbidden";

/** Checks that the agent can use the first of the sockets that its user may open. */
export async function checkSocket(context: DoctorContext): Promise<Result> {
  const { sockets } = context.agent;
  const passedOver: string[] = [];
  let result: Result | null = null;
  for (const path of sockets) {
    const info = await look(path);
    const isUsed = info !== "absent" && !isForbidden(context, path, info);
    // Without a usable socket, the first forbidden one is reported.
    if (info !== "absent" && (isUsed || !result)) result = await judgeSocket(context, path, info);
    if (isUsed) break;
    passedOver.push(`${path} (${info === "absent" ? "no such file" : "permission denied"})`);
  }
  if (!result) return await judgeAbsentSocket(context);
  if (passedOver.length === 0 || sockets.length === 1) return result;
  return { ...result, details: [...result.details, `passed over: ${passedOver.join(", ")}`] };
}

/** Returns true when the agent passes over a path, because its user may not connect there. */
function isForbidden(context: DoctorContext, path: string, info: SocketInfo): boolean {
  if (info === "forbidden") return true;
  const user = context.agentUser;
  if (user.uid === context.user.uid) return accessTo(path) === "forbidden";
  return info.isSocket === true && !mayUse(user, info, writing);
}

async function judgeSocket(
  context: DoctorContext,
  path: string,
  info: SocketInfo,
): Promise<Result> {
  const user = context.agentUser;
  if (info === "forbidden") {
    const enter = `enter ${folderOf(path)}`;
    const text = `${path}: user ${user.name} cannot ${enter}`;
    return failed(text, `let user ${user.name} ${enter} (chmod or setfacl)`);
  }
  if (info.isDirectory) {
    // Docker creates such a folder when a container mounts a missing socket.
    const restart = context.hasSystemd ? ` && ${restartCommand(path)}` : "";
    const fix = `remove the folder and restart the engine: rmdir ${quotePath(path)}${restart}`;
    return failed(`${path} is no socket, but a folder`, fix);
  }
  if (!info.isSocket) return failed(`${path} is no socket`, setSocket(context, docker.socket));
  // The mode does not show everything, so the agent's own user tries to connect instead.
  if (user.uid !== context.user.uid && !mayUse(user, info, reading | writing)) {
    return judgeForbiddenSocket(context, path, info);
  }
  return await connect(context, path, info);
}

async function judgeAbsentSocket(context: DoctorContext): Promise<Result> {
  const { agent: { sockets }, root } = context;
  const text = sockets.length === 1
    ? `${sockets[0]}: no such socket`
    : `none of ${sockets.join(", ")} exists`;
  // The configured socket may be that of another engine.
  for (const { socket } of engines) {
    const info = sockets.includes(socket) ? "absent" : await look(`${root}${socket}`);
    if (typeof info === "object" && info.isSocket) {
      return failed(`${text}, but there is ${socket}`, setSocket(context, socket));
    }
  }
  for (const { socket, unit } of engines) {
    if (sockets.includes(socket) && readUnit(root, unit) !== null) {
      const fix = context.withSystemd("start the engine", `systemctl enable --now ${unit}`);
      return failed(text, fix);
    }
  }
  if (engines.some(({ socket }) => sockets.includes(socket))) {
    return failed(`${text}, and the engine is not installed`, "install Docker or Podman");
  }
  return failed(text, restartEngine(context, sockets[0] ?? ""));
}

function judgeForbiddenSocket(context: DoctorContext, path: string, info: Deno.FileInfo): Result {
  const user = context.agentUser;
  const gid = info.gid ?? 0;
  const group = context.accounts.groupName(gid);
  const details = [
    `permission denied: user ${user.name} is not in group ${group}`,
    `${path}: ${describe(info, context.accounts)}`,
  ];
  // A member of root's group could use far more than this socket.
  const isForGroup = mayUse({ ...user, groups: new Set([gid]) }, info, reading | writing);
  if (isForGroup && gid !== 0) {
    return failed(details, `add user ${user.name} to group ${group} (usermod -aG)`);
  }
  return failed(details, `let user ${user.name} read and write ${path} (setfacl)`);
}

async function connect(context: DoctorContext, path: string, info: Deno.FileInfo): Promise<Result> {
  const { accounts, user } = context;
  const details = `${path}: ${describe(info, accounts)}`;
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return ok(`${details}; it accepts connections`);
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) {
      if (!mayUse(user, info, reading | writing)) return judgeForbiddenSocket(context, path, info);
      // The user was added to the group after this login.
      const group = accounts.groupName(info.gid ?? 0);
      const text = `permission denied: user ${user.name} is in group ${group}, but not in this ` +
        "login, which is older";
      return failed([text, details], "log in again");
    }
    const isRefused = error instanceof Deno.errors.ConnectionRefused;
    const why = isRefused ? "no program listens on it" : (error as Error).message;
    return failed([`${path}: ${why}`, details], restartEngine(context, path));
  }
}

const callTimeoutMs = 5_000;
const timeoutMs = 7_000;

/** The engine's lists, or why there are none. */
type EngineFindings =
  | { readonly kind: "listed"; readonly observation: Observation }
  /** Its socket has accepted the connection. */
  | { readonly kind: "failed"; readonly socket: string; readonly error: string }
  | { readonly kind: "unreached" };

const unreached: readonly string[] = [
  "no-socket",
  "permission-denied",
  "forbidden-path",
  "not-listening",
];

/** Lists the networks and containers that the agent manages; for `context.once()`. */
async function askEngine({ agent, options: { signal } }: DoctorContext): Promise<EngineFindings> {
  let socket: string | null = null;
  try {
    socket = findSocket(agent.sockets);
    const observation = await observe(signal, {
      socket,
      networkPrefixes: agent.networkPrefixes,
      containerPrefixes: agent.containerPrefixes,
      callTimeoutMs,
      timeoutMs,
    });
    return { kind: "listed", observation };
  } catch (error) {
    if (socket === null || unreached.includes(readFailure(error).reason)) {
      return { kind: "unreached" };
    }
    return { kind: "failed", socket, error: (error as Error).message };
  }
}

/** Checks that the engine answers, and reports its version. */
export async function checkEngine(context: DoctorContext): Promise<Result> {
  const found = await context.once(askEngine);
  if (found.kind === "unreached") return skipped("its socket cannot be used");
  if (found.kind === "failed") return failed(found.error, restartEngine(context, found.socket));
  const { inventory, engine: { version, apiVersion, latencyMs } } = found.observation;
  const { networks, containers } = selectManaged(inventory, context.agent);
  return ok(
    `version ${version ?? "unknown"}, API ${apiVersion ?? "unknown"}, ` +
      `answered in ${Math.round(latencyMs)} ms`,
    `${networks.length} networks and ${containers.length} containers are managed`,
  );
}

/** Checks that Docker matches the applied topology. */
export async function checkDrift(context: DoctorContext): Promise<Result> {
  const probes = [context.once(askEngine), context.once(readStore)] as const;
  const [engine, stored] = await Promise.all(probes);
  if (engine.kind !== "listed") return skipped("the engine does not answer");
  if (stored.kind !== "read" && stored.kind !== "absent") return skipped("the store was not read");
  const applied = stored.kind === "read" ? stored.applied : null;
  if (applied?.document === unknownDocument) return skipped("the store holds no document");
  const inventory = selectManaged(engine.observation.inventory, context.agent);
  let found: KnownDrift;
  try {
    const plan = applied && await planDocument(applied.document, context.agent.planOptions);
    found = findDrift(plan, inventory);
  } catch (error) {
    found = { state: "unknown", detail: (error as Error).message };
  }
  const text = describeDrift(found);
  if (text === null) {
    return ok(applied ? "Docker is as applied" : "nothing is applied, nothing runs");
  }
  if (found.state === "unknown") return warning(text, applyAgain(context));
  return judgeDrift(context, text, found, inventory, applied);
}

/** Says what would make Docker as applied: an apply, the teardown of another topology, or neither. */
function judgeDrift(
  context: DoctorContext,
  text: string,
  drift: Drift,
  inventory: Inventory,
  applied: AppliedTopology | null,
): Result {
  const { ids, others } = ownersOf(drift, inventory);
  const details = [applied ? text : `nothing is applied, but there is: ${text}`];
  const foreign = ids.filter((id) => id !== applied?.topologyId);
  if (foreign.length > 0) details.push(`labels name topology ${firstNames(foreign)}`);
  if (others.length > 0) {
    details.push(`the agent leaves alone what is not its own: ${firstNames(others)}`);
  }
  const isChanged = driftKinds.some((kind) => kind !== "unexpected" && drift[kind].length > 0);
  if (isChanged || ids.length > foreign.length) return warning(details, applyAgain(context));
  if (foreign.length === 0) {
    return warning(details, "find out what made it, and remove it when it is not needed any more");
  }
  const fix = "to keep it, let the master apply it again; to remove it, replace ID with its id";
  return warning(details, context.callAgent(fix, "teardown", "ID"));
}

/**
 * Returns the topologies that unexpected objects belong to, and the names of those that belong to none:
 * no apply and no teardown removes them.
 */
function ownersOf(drift: Drift, { networks, containers }: Inventory) {
  const unexpected = new Set(drift.unexpected.map(({ type, name }) => `${type} ${name}`));
  const idOf = (it: NetworkInfo | ContainerInfo) => it.labels.get(topologyLabel) ?? "";
  const objects = [
    ...networks.filter(({ name }) => unexpected.has(`network ${name}`))
      .map((it) => ({ name: it.name, id: idOf(it), claim: networkClaim(it, idOf(it)) })),
    ...containers.filter(({ name }) => unexpected.has(`container ${name}`))
      .map((it) => ({ name: it.name, id: idOf(it), claim: containerClaim(it, idOf(it)) })),
  ];
  return {
    ids: [...new Set(objects.filter(({ claim }) => claim === "own").map(({ id }) => id))],
    others: objects.filter(({ claim }) => claim !== "own").map(({ name }) => name),
  };
}
