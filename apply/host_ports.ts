import { EngineError } from "../docker/errors.ts";
import { messageOf } from "../host/log.ts";
import { type ContainerChange, createdBy, removedBy } from "../topology/changes.ts";
import { type PlannedContainer, publishedBy } from "../topology/plan.ts";
import type { Port } from "../topology/services.ts";

/** How long a connection to a port of this host may take, in milliseconds. */
const connectTimeoutMs = 1_000;

/** Ports below it are opened only by the engine, as root. */
const firstUnprivilegedPort = 1024;

/** Where the agent's own API listens. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Finds ports that new bases cannot publish, as another program or the agent's API has them. Only the
 * engine can try UDP ports below 1024. Ports of containers that are removed count as free.
 */
export async function findTakenPorts(
  changes: readonly ContainerChange[],
  listen: ListenAddress | null,
): Promise<string[]> {
  const freed = new Set(removedBy(changes).flatMap(({ publishedPorts }) => publishedPorts));
  const wanted = createdBy(changes).flatMap((base) => {
    const { PortBindings = {} } = base.request.HostConfig;
    return publishedBy(base).filter((port) => !freed.has(port))
      .map((port) => ({ port, host: PortBindings[port]![0]!.HostIp, base: base.name }));
  });
  const obstacles = await Promise.all(wanted.map(async ({ port, host, base }) => {
    const problem = isOwn(port, host, listen)
      ? "the agent's API listens there: set listen to another port, or publish to another address or off"
      : await portProblem(port, host);
    return problem === null
      ? []
      : [`container ${base} publishes ${port} on ${host}, but ${problem}`];
  }));
  return obstacles.flat();
}

/** Whether the API listens at a port of an IPv4 address, also while the agent does not run. */
function isOwn(port: Port, host: string, listen: ListenAddress | null): boolean {
  if (listen === null || port !== `${listen.port}/tcp`) return false;
  const isIpv4 = !listen.host.includes(":");
  return ["0.0.0.0", "::", host].includes(listen.host) || (host === "0.0.0.0" && isIpv4);
}

/** Returns why a port cannot be published on an address of this host; null when it seems that it can. */
async function portProblem(port: Port, host: string): Promise<string | null> {
  const [number, isTcp] = [parseInt(port), port.endsWith("/tcp")];
  const taken = `that port is taken: ${adviceFor([port])}`;
  const isPrivileged = number < firstUnprivilegedPort;
  if (isPrivileged && isTcp && await takesConnection(number, host)) return taken;
  try {
    // Any port shows that the host has the address.
    const options = { hostname: host, port: isPrivileged ? 0 : number };
    const socket = isTcp
      ? Deno.listen(options)
      : Deno.listenDatagram({ ...options, transport: "udp" });
    socket.close();
    return null;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return taken;
    const isForeign = error instanceof Deno.errors.AddrNotAvailable;
    return isForeign
      ? "this host does not have that address: set publish to one that it has"
      : null;
  }
}

async function takesConnection(port: number, host: string): Promise<boolean> {
  const hostname = host === "0.0.0.0" ? "127.0.0.1" : host;
  try {
    const signal = AbortSignal.timeout(connectTimeoutMs);
    (await Deno.connect({ hostname, port, signal })).close();
    return true;
  } catch {
    return false;
  }
}

/** Says how to publish ports that are taken. */
function adviceFor(ports: readonly Port[]): string {
  const hint = ports.some((it) => parseInt(it) === 53) ? "; systemd-resolved may hold port 53" : "";
  return `free it, or set publish to another address or off${hint}`;
}

/** Describes a failure to make a container; names the ports that the engine could not publish. */
export function describeFailure(planned: PlannedContainer, cause: unknown): string {
  const message = messageOf(cause);
  if (!(cause instanceof EngineError) || cause.status === null) return message;
  // The engine tells the port only in words, and not always the protocol.
  const byNumber = publishedBy(planned).filter((it) => message.search(`:${parseInt(it)}\\b`) >= 0);
  const byProtocol = byNumber.filter((it) => message.search(`\\b${it.split("/")[1]}[46]?\\b`) >= 0);
  const named = byProtocol.length > 0 ? byProtocol : byNumber;
  if (named.length === 0) return message;
  // The ports come first: what is stored of an error is cut at its end.
  return `cannot publish ${named.join(", ")} if that port is taken: ${
    adviceFor(named)
  }; ${message}`;
}
