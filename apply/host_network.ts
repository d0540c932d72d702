import { Engine } from "../docker/engine.ts";
import { hostAndPort, messageOf } from "../host/log.ts";
import { interfaceAddresses, pause } from "../host/process.ts";
import type { MasterAddress } from "../master/connection.ts";
import { createdBy, type NetworkChange } from "../topology/changes.ts";
import { topologyLabel } from "../topology/inventory.ts";
import { reserveAddress, type ReservedRange, reserveInterface } from "../topology/address.ts";

/** How long the master's name may take to resolve, in milliseconds; unresolved reserves nothing. */
const resolveTimeoutMs = 2_000;
/** How long one connection to the master may take, in milliseconds. */
const connectTimeoutMs = 2_000;
/** The pause between two connections, in milliseconds. */
const pauseMs = 1_000;

/** Files that list the name servers in use; the first may name only the stub of systemd-resolved. */
const nameServerFiles = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/** Loads what connects to a master, 40 ms, only where there is one. */
const loadConnection = () => import("../master/connection.ts");

/** Hosts that must stay in reach of this one. */
export interface Peers {
  readonly master: MasterAddress | null;
  /** The address that an API call came from; absent for an apply by hand. */
  readonly callerAddress?: string | undefined;
}

/** Collects what no new LAN may take. Throws `Error` when the system does not list interfaces. */
export async function collectReserved({ master, callerAddress }: Peers): Promise<ReservedRange[]> {
  const limits = { timeoutMs: resolveTimeoutMs, signal: new AbortController().signal };
  const addresses = master
    ? await (await loadConnection()).resolveHost(master.host, limits).catch(() => [])
    : [];
  return [
    ...interfaceAddresses().flatMap(({ interface: name, cidr }) => reserveInterface(name, cidr)),
    ...addresses.flatMap((it) => reserveAddress(it, "holds the address of the master")),
    ...reserveAddress(callerAddress ?? "", "holds the address that this call came from"),
    ...nameServerFiles.flatMap((path) =>
      readNameServers(path).flatMap((it) => reserveAddress(it, `holds a name server of ${path}`))
    ),
  ];
}

/** Reads the name servers of a resolv.conf; none when it cannot be read. */
function readNameServers(path: string): string[] {
  try {
    const lines = Deno.readTextFileSync(path).matchAll(/^\s*nameserver\s+(\S+)/gm);
    return [...lines].map(([, address]) => address!);
  } catch {
    return [];
  }
}

/**
 * Connects to the master before networks are created; returns the check that this is still possible, which
 * else removes them and throws `Error`. Returns undefined if none is created, or it accepts no connection.
 */
export async function prepareNetworkCheck(
  { master }: Peers,
  { engine, topologyId, networks, signal }: {
    engine: Engine;
    topologyId: string;
    networks: readonly NetworkChange[];
    /** Aborted when the process stops. */
    signal: AbortSignal;
  },
): Promise<(() => Promise<void>) | undefined> {
  const names = createdBy(networks).map(({ name }) => name);
  if (!master || names.length === 0) return undefined;
  if (!await isReachable(master, signal)) return undefined;
  const where = hostAndPort(master);
  return async () => {
    if (await isReachable(master, signal)) return;
    await pause(pauseMs, signal);
    if (await isReachable(master, signal)) return;
    const result = await removeNetworks(engine, { topologyId, names });
    if (signal.aborted) return;
    throw new Error(
      `the master at ${where} accepted a connection before the networks of the LANs were made, and none ` +
        `after that; ${result}. A LAN holds an address on the way to the master, such as that of a ` +
        "gateway or a tunnel: choose other subnets",
    );
  };
}

/** Whether the master accepts a connection; false once `signal` is aborted. */
async function isReachable(master: MasterAddress, signal: AbortSignal): Promise<boolean> {
  const { connectTo } = await loadConnection();
  try {
    (await connectTo(master, { timeoutMs: connectTimeoutMs, signal })).destroy();
    return true;
  } catch {
    return false;
  }
}

/** Removes new networks, also unanswered ones, on its own connection: the caller's may be stopped. */
async function removeNetworks(
  { socket, log }: Engine,
  { topologyId, names }: { topologyId: string; names: readonly string[] },
): Promise<string> {
  const engine = new Engine(socket, new AbortController().signal, { log });
  try {
    const { networks } = await engine.list();
    const made = networks.filter(({ name, labels }) =>
      names.includes(name) && labels.get(topologyLabel) === topologyId
    );
    await Promise.all(made.map(({ id }) => engine.removeNetwork(id)));
    return "they were removed again";
  } catch (error) {
    return `they could not be removed (${messageOf(error)}): tear the topology down`;
  } finally {
    engine.close();
  }
}
