import type { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import type { AgentOptions } from "../agent/heartbeat.ts";
import { readFailure } from "../docker/errors.ts";
import { findSocket, type Observation, observe } from "../docker/observe.ts";
import { sanitizeLine } from "../host/log.ts";
import {
  CertificateError,
  CertificateFolder,
  type Certificates,
  splitChain,
} from "../master/certificates.ts";
import { ConnectionError, connectTo } from "../master/connection.ts";
import { type Handshake, testHandshake, TrustError } from "../master/trust.ts";
import { explain, storeReason } from "../store/file.ts";
import { findDamage } from "../store/recovery.ts";
import type { AppliedTopology } from "../store/row.ts";
import { StoreReader } from "../store/store_reader.ts";
import { look, quote, readText } from "./files.ts";

/** The certificates of this host, parsed, or why they are of no use. */
export type Identity =
  | {
    readonly certificates: Certificates;
    /** This host's own certificate first. */
    readonly chain: readonly [X509Certificate, ...X509Certificate[]];
    readonly authorities: readonly X509Certificate[];
  }
  | { readonly problem: CertificateError };

/** Reads the three files as the agent does. */
export async function readIdentity(folder: string): Promise<Identity> {
  try {
    const { certificates } = await new CertificateFolder(folder).load();
    const { X509Certificate } = await import("node:crypto");
    const parse = (pem: string) => splitChain(pem).map((block) => new X509Certificate(block));
    const chain = parse(certificates.certificate) as [X509Certificate, ...X509Certificate[]];
    return { certificates, chain, authorities: parse(certificates.authority) };
  } catch (error) {
    if (error instanceof CertificateError) return { problem: error };
    throw error;
  }
}

/** The common name in a certificate, or all of the name where there is none. */
export function commonName(distinguishedName: string): string {
  return /^CN=(.*)$/m.exec(distinguishedName)?.[1] ?? distinguishedName.replaceAll("\n", ", ");
}

/** Who holds a lock, by what its file tells: a process that was killed could not erase it. */
export interface LockOwner {
  /** `process 4711 since …`, and what for where the file does not say so by its name. */
  readonly text: string;
  /** In milliseconds since 1970; null when the file does not tell. */
  readonly since: number | null;
  /** Whether there is a process of that number; null when that cannot be seen. */
  readonly isThere: boolean | null;
}

/** Reads the file of a lock, and does not take the lock; null when it names nobody. */
export async function readLockOwner(path: string): Promise<LockOwner | null> {
  const text = sanitizeLine((await readText(path) ?? "").slice(0, 200)).trim();
  if (text === "") return null;
  const since = Date.parse(/ since (\S+)/.exec(text)?.[1] ?? "");
  const pid = /^process (\d{1,9}) /.exec(text)?.[1];
  return {
    text: text.replace(/ for the loop$/, ""),
    since: Number.isNaN(since) ? null : since,
    isThere: pid === undefined ? null : await isProcess(Number(pid)),
  };
}

/** The same, but null as well when whoever is named has ended. */
export async function readLivingOwner(path: string): Promise<LockOwner | null> {
  const holder = await readLockOwner(path);
  return holder?.isThere === false ? null : holder;
}

/** What a lock's file tells of its holder, and whether that one is there. */
export function describeOwner({ text, isThere }: LockOwner, path: string): string {
  switch (isThere) {
    case true:
      return `${path} names ${text}, and there is such a process`;
    case false:
      return `${path} was held by ${text}, which has ended`;
    case null:
      return `${path} names ${text}; whether that one still runs, the agent is not shown`;
  }
}

/** Any fact of a process would do; the runtime hides /proc. */
async function isProcess(pid: number): Promise<boolean | null> {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "getPriority" });
  if (state !== "granted") return null;
  const { getPriority } = await import("node:os");
  try {
    getPriority(pid);
    return true;
  } catch (error) {
    return (error as Error).message.includes("ESRCH") ? false : null;
  }
}

/** With less than that free, a large document may not find its place in the store, in bytes. */
const leastFree = 16 * 2 ** 20;

/** Why the file system of a folder takes nothing more, or soon will not. */
type SpaceProblem = { readonly text: string; readonly kind: "space" | "files" };

/** How full the file system of a folder is, for root or for others; null when it has room. */
export async function findSpaceProblem(
  folder: string,
  isRoot: boolean,
): Promise<SpaceProblem | null> {
  const { statfs } = await import("node:fs/promises");
  const { bsize, bfree, bavail, files, ffree } = await statfs(folder);
  // Some file systems count no files.
  if (files > 0 && ffree === 0) {
    return { text: `no files can be made on the file system of ${folder}`, kind: "files" };
  }
  // Some of it is kept for root.
  const free = (isRoot ? bfree : bavail) * bsize;
  if (free >= leastFree) return null;
  const size = `${Math.floor(free / 2 ** 20)} MiB`;
  const text = `only ${size} are free on the file system of ${folder}: an apply may fail`;
  return { text, kind: "space" };
}

/** The command that shows what takes the room; what of it can go, only a person knows. */
export function showTakers(folder: string, kind: SpaceProblem["kind"]): string {
  const count = kind === "files" ? "du --inodes -xd 3" : "du -xmd 3";
  return `${count} ${mountOf(folder)} | sort -n | tail -n 20`;
}

/** The command that lets a file system be written to again. */
export function remount(folder: string): string {
  return `mount -o remount,rw ${mountOf(folder)}`;
}

/** Whether the file system of a folder is read-only, where what is in it does not tell. */
export async function isReadOnly(folder: string): Promise<boolean> {
  // To rename what there is not changes nothing; the file system is asked first.
  const absent = `${folder}/.${crypto.randomUUID()}`;
  try {
    if (await look(absent) === "absent") await Deno.rename(absent, `${absent}.new`);
  } catch (error) {
    return /Read-only file system/.test((error as Error).message);
  }
  return false;
}

function mountOf(folder: string): string {
  return `"$(findmnt -n -o TARGET -T ${quote(folder)})"`;
}

/** How names begin that any version of the agent, or the master's older deployments, have given. */
const defaultPrefixes: readonly string[] = ["decnet_t_", "decnet-topology-"];

/** How long another process may hold the store, in milliseconds, and between two looks. */
const patienceMs = 2_000;
const pauseMs = 50;

/** What can be read of the store without changing anything. */
export type StoreFindings =
  | { readonly state: "absent" }
  | { readonly state: "read"; readonly applied: AppliedTopology | null }
  | {
    readonly state: "forbidden" | "not a file" | "damaged" | "locked" | "journal" | "wal" | "error";
    readonly detail: string;
  };

/**
 * Reads all of the store. Where SQLite would have to write, to undo what a crash left half-written or
 * beside a file in WAL mode, it is not opened.
 */
export async function readStore(path: string, signal: AbortSignal): Promise<StoreFindings> {
  for (const startedAt = performance.now();;) {
    const findings = await readOnce(path);
    const isPassing = findings.state === "locked" || findings.state === "journal";
    const isOver = signal.aborted || performance.now() - startedAt > patienceMs;
    if (!isPassing || isOver) return findings;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

async function readOnce(path: string): Promise<StoreFindings> {
  const file = await look(path);
  if (file === "absent") return { state: "absent" };
  if (file === "forbidden") return { state: "forbidden", detail: "permission denied" };
  if (!file.isFile) return { state: "not a file", detail: "it is not a regular file" };
  try {
    if (await isWal(path)) return { state: "wal", detail: "the file is in WAL mode" };
    if (await look(`${path}-journal`) !== "absent") {
      return { state: "journal", detail: "a change is half-written" };
    }
    const damage = findDamage(path, 0);
    if (damage !== null) return { state: "damaged", detail: damage };
    const reader = new StoreReader(path);
    try {
      return { state: "read", applied: await reader.current(AbortSignal.abort()) };
    } finally {
      reader.close();
    }
  } catch (error) {
    const isForbidden = error instanceof Deno.errors.PermissionDenied;
    const state = storeReason(error) === "locked" ? "locked" : isForbidden ? "forbidden" : "error";
    return { state, detail: explain(error) };
  }
}

/** By the bytes of its head that tell how it is read and written. */
async function isWal(path: string): Promise<boolean> {
  const file = await Deno.open(path);
  try {
    const head = new Uint8Array(20);
    const count = await file.read(head);
    const isDatabase = new TextDecoder().decode(head.subarray(0, 15)) === "SQLite format 3";
    return count === head.length && isDatabase && head[18] === 2;
  } finally {
    file.close();
  }
}

const callTimeoutMs = 5_000;
const timeoutMs = 7_000;

/** What the engine answers. */
export type EngineFindings =
  | { readonly socket: string; readonly observation: Observation }
  | {
    readonly socket: string | null;
    readonly error: string;
    /** Whether its socket took the connection. */
    readonly isReached: boolean;
  };

const unreached: readonly string[] = ["no_socket", "permission_denied", "not_listening"];

type Options = Pick<AgentOptions, "sockets" | "networkPrefixes" | "containerPrefixes">;

/** Asks the engine once for all that a label or a prefix, the configured or a usual one, makes ours. */
export async function lookAtEngine(
  { sockets, networkPrefixes, containerPrefixes }: Options,
  signal: AbortSignal,
): Promise<EngineFindings> {
  let socket: string | null = null;
  try {
    socket = findSocket(sockets);
    const observation = await observe(signal, {
      socket,
      networkPrefixes: [...networkPrefixes, ...defaultPrefixes],
      containerPrefixes: [...containerPrefixes, ...defaultPrefixes],
      callTimeoutMs,
      timeoutMs,
    });
    return { socket, observation };
  } catch (error) {
    const isReached = socket !== null && !unreached.includes(readFailure(error).reason);
    return { socket, error: (error as Error).message, isReached };
  }
}

const nameTimeoutMs = 3_000;
const connectTimeoutMs = 3_000;
const handshakeTimeoutMs = 3_000;
const usualSettleMs = 1_000;

/** How far one got on the way to the master; a step that is absent was not reached. */
export interface MasterFindings {
  readonly addresses?: readonly string[] | { readonly error: string };
  readonly connection?: { readonly ms: number } | ConnectionError;
  readonly handshake?: Handshake | ConnectionError | TrustError;
}

/** Goes to the master step by step, on one connection, and sends it no request. */
export async function lookAtMaster(
  { master }: Pick<AgentOptions, "master">,
  identity: Identity,
  { signal, settleMs = usualSettleMs }: { signal: AbortSignal; settleMs?: number | undefined },
): Promise<MasterFindings> {
  if (!master) return {};
  const addresses = await resolve(master.host);
  if ("error" in addresses) return { addresses };
  const startedAt = performance.now();
  let tcp: Socket;
  try {
    tcp = await connectTo(master, { timeoutMs: connectTimeoutMs, signal });
  } catch (error) {
    return { addresses, connection: error as ConnectionError };
  }
  const connection = { ms: performance.now() - startedAt };
  if ("problem" in identity) {
    tcp.destroy();
    return { addresses, connection };
  }
  const limits = { timeoutMs: handshakeTimeoutMs, settleMs, signal };
  try {
    const handshake = await testHandshake(tcp, master, identity.certificates, limits);
    return { addresses, connection, handshake };
  } catch (error) {
    return { addresses, connection, handshake: error as ConnectionError | TrustError };
  }
}

async function resolve(host: string): Promise<readonly string[] | { readonly error: string }> {
  const [{ lookup }, { isIP }] = await Promise.all([import("node:dns"), import("node:net")]);
  if (isIP(host)) return [];
  const { promise, resolve } = Promise.withResolvers<readonly string[] | { error: string }>();
  const timer = setTimeout(() => {
    resolve({ error: `the name servers have not answered within ${nameTimeoutMs / 1000} s` });
  }, nameTimeoutMs);
  lookup(host, { all: true }, (error, found) => {
    if (error || found.length === 0) resolve({ error: "its name cannot be resolved" });
    else resolve(found.map(({ address }) => address));
  });
  return await promise.finally(() => clearTimeout(timer));
}
