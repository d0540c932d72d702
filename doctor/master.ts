import type { X509Certificate } from "node:crypto";
import { systemPaths } from "../host/files.ts";
import { listenerAddress, listenerProblem } from "../logs/sender.ts";
import {
  CertificateError,
  CertificateFolder,
  type Certificates,
  splitChain,
} from "../master/certificates.ts";
import { fieldsOf } from "../master/chain.ts";
import {
  ConnectionError,
  type ConnectionReason,
  connectTo,
  hostAndPort,
  loadTls,
  resolveHost,
} from "../master/connection.ts";
import {
  type Handshake,
  presentedChain,
  testHandshake,
  timeOf,
  TrustError,
} from "../master/trust.ts";
import { namesIn } from "../master/x509.ts";
import { type DoctorContext, failed, look, ok, type Result, skipped, warning } from "./context.ts";
import { agentUser, callAgent, readRunningAgent, serviceOf } from "./service.ts";

/** The certificates of this host, parsed, or why they cannot be used. */
export type Identity =
  | {
    readonly kind: "valid";
    readonly certificates: Certificates;
    /** This host's own certificate first. */
    readonly chain: readonly [X509Certificate, ...X509Certificate[]];
    readonly authorities: readonly X509Certificate[];
  }
  | { readonly kind: "invalid"; readonly problem: CertificateError };

/** Reads the three files as the agent does, once. */
export function identityOf(context: DoctorContext): Promise<Identity> {
  return context.once(readIdentity);
}

async function readIdentity({ agent }: DoctorContext): Promise<Identity> {
  try {
    const { certificates } = await new CertificateFolder(agent.agentDirectory).load();
    const { X509Certificate } = await import("node:crypto");
    const parse = (pem: string) => splitChain(pem).map((block) => new X509Certificate(block));
    const chain = parse(certificates.certificate) as [X509Certificate, ...X509Certificate[]];
    return { kind: "valid", certificates, chain, authorities: parse(certificates.authority) };
  } catch (problem) {
    if (problem instanceof CertificateError) return { kind: "invalid", problem };
    throw problem;
  }
}

/** Returns how to install files that the master issued for this host. */
export async function installIssued(
  context: DoctorContext,
  ...files: string[]
): Promise<string> {
  const { agent, config: { settings }, user: own } = context;
  const user = await agentUser(context);
  const { unit, isActive } = await serviceOf(context);
  const isThere = await look(agent.agentDirectory) !== "absent";
  const isConfigured = settings.some(({ key }) => key === "agent-dir");
  // The default folder of a user is in its home, where the service does not look.
  const isOwn = isThere || isConfigured || (own.uid !== 0 && unit === null);
  const folder = isOwn ? agent.agentDirectory : systemPaths.certificates;
  const text = `put ${files.join(", ")} (issued by the master for this host) into ` +
    `${folder}, owned by ${user.name}`;
  const secret = files.includes("worker.key") ? " with mode 0600" : "";
  const restart = isOwn || !isActive ? "" : ", then: systemctl restart decnet-agent";
  return text + secret + restart;
}

/** How long each step to the master may take, in milliseconds. */
const stepTimeoutMs = 3_000;
const usualSettleMs = 1_000;

/** The result of each step to the master; undefined when an earlier step failed. */
interface MasterFindings {
  readonly addresses?: readonly string[] | ConnectionError;
  /** How long it took, in milliseconds. */
  readonly connection?: number | ConnectionError;
  readonly handshake?: Handshake | ConnectionError | TrustError;
}

/** Connects to the master step by step, once, and sends no request. */
export function masterFindings(context: DoctorContext): Promise<MasterFindings> {
  return context.once(tryMaster);
}

async function tryMaster(context: DoctorContext): Promise<MasterFindings> {
  const { master } = context.agent;
  const { signal, settleMs = usualSettleMs } = context.options;
  if (!master) return {};
  const step = { timeoutMs: stepTimeoutMs, signal };
  const addresses = await resolveHost(master.host, step).catch((error: ConnectionError) => error);
  if (addresses instanceof ConnectionError) return { addresses };
  const startedAt = performance.now();
  const tcp = await connectTo(master, step).catch((error: ConnectionError) => error);
  if (tcp instanceof ConnectionError) return { addresses, connection: tcp };
  const connection = performance.now() - startedAt;
  const identity = await identityOf(context);
  if (identity.kind === "invalid") {
    tcp.destroy();
    return { addresses, connection };
  }
  const limits = { ...step, settleMs };
  const handshake = await testHandshake(tcp, master, identity.certificates, limits)
    .catch((error: ConnectionError | TrustError) => error);
  return { addresses, connection, handshake };
}

const notSet = "master-host is not set";

/** Checks that the master's name has an address. */
export async function checkMasterName(context: DoctorContext): Promise<Result> {
  const { master } = context.agent;
  if (!master) return skipped(notSet);
  const { addresses = [] } = await masterFindings(context);
  if (addresses instanceof ConnectionError) {
    const fix = "correct master-host, or the name servers of this host, or add the name and its " +
      "address to /etc/hosts";
    return failed(`${master.host}: ${addresses.message}`, fix);
  }
  if (addresses.includes(master.host)) return ok(`${master.host} is an address`);
  return ok(`${master.host}: ${addresses.join(", ")}`);
}

/** Checks that the master accepts TCP connections. */
export async function checkMasterConnection(context: DoctorContext): Promise<Result> {
  const { master } = context.agent;
  if (!master) return skipped(notSet);
  const { connection } = await masterFindings(context);
  if (connection === undefined) return skipped("its name was not resolved");
  const where = hostAndPort(master);
  if (!(connection instanceof ConnectionError)) {
    return ok(`${where} accepts connections, within ${Math.round(connection)} ms`);
  }
  const fix = fixConnection(connection, master.port);
  return failed(`Cannot reach the master at ${where}: ${connection.message}`, fix);
}

function fixConnection({ reason }: ConnectionError, port: number): string {
  // If nothing answers, a packet filter is the usual reason.
  return reason === "connection-refused"
    ? `start the server on the master and check that it listens on port ${port}: ss -ltnp`
    : `let this host reach port ${port} of the master: check routes and packet filters`;
}

/** Checks mutual TLS with the master by a handshake only: a request would be a heartbeat. */
export async function checkMasterTls(context: DoctorContext): Promise<Result> {
  const { master } = context.agent;
  if (!master) return skipped(notSet);
  const { connection, handshake } = await masterFindings(context);
  if (typeof connection !== "number") return skipped("there is no connection");
  if (!handshake) return skipped("the certificates cannot be used");
  if (handshake instanceof Error) {
    const details = `Cannot reach the master at ${hostAndPort(master)}: ${handshake.message}`;
    const server = { key: "swarmctl-port", port: master.port } as const;
    return failed(details, await fixHandshake(context, handshake, server));
  }
  const { protocol, names, validTo } = handshake;
  const report =
    "it did not refuse worker.crt; only a heartbeat shows whether it knows this host-uuid";
  return ok(
    `${protocol} with ${names}, valid to ${timeOf(Date.parse(validTo))}`,
    await callAgent(context, report, "--once"),
  );
}

/** Checks by a handshake only that the master takes the lines of the decoys. */
export async function checkLogListener(context: DoctorContext): Promise<Result> {
  const { config: { configuration: { logs } }, options } = context;
  if (!logs) return skipped("syslog-port is not set, or forward-logs is false");
  const { addresses } = await masterFindings(context);
  if (addresses instanceof ConnectionError) return skipped("its name was not resolved");
  const identity = await identityOf(context);
  if (identity.kind === "invalid") return skipped("the certificates cannot be used");
  const address = listenerAddress(logs);
  const where = hostAndPort(address);
  const step = { timeoutMs: stepTimeoutMs, signal: options.signal };
  const warn = (failure: ConnectionError | TrustError, fix: string) =>
    warning(`Cannot send log lines to ${where}: ${listenerProblem(failure)}`, fix);
  const tcp = await connectTo(address, step).catch((error: ConnectionError) => error);
  if (tcp instanceof ConnectionError) return warn(tcp, fixConnection(tcp, logs.port));
  const limits = { ...step, settleMs: options.settleMs ?? usualSettleMs };
  const handshake = await testHandshake(tcp, address, identity.certificates, limits)
    .catch((error: ConnectionError | TrustError) => error);
  if (handshake instanceof Error) {
    const server = { key: "syslog-port", port: logs.port } as const;
    return warn(handshake, await fixHandshake(context, handshake, server));
  }
  const { protocol, names, validTo } = handshake;
  return ok(
    `${where} has not refused worker.crt: ${protocol} with ${names}, valid to ` +
      timeOf(Date.parse(validTo)),
    "on the master, the ingester must read the .json file that this listener writes: see " +
      "whether DECNET_INGEST_LOG_FILE names it",
  );
}

/** The usual ports of a master. */
const usualPorts = (context: DoctorContext) => ({
  "swarmctl-port": context.config.defaultPort,
  "syslog-port": 6514,
});

async function fixHandshake(
  context: DoctorContext,
  failure: ConnectionError | TrustError,
  { key, port }: { key: "swarmctl-port" | "syslog-port"; port: number },
): Promise<string> {
  const { config: { placeOf } } = context;
  const defaultPort = usualPorts(context)[key];
  const place = (key: "master-name" | "master-fingerprint") =>
    `that is shown on the master itself ${placeOf(key)}`;
  switch (failure.reason) {
    case "wrong-name":
      if (key === "syslog-port") return fixPort({ key, defaultPort, place: placeOf(key) });
      return "check that master-host is the right host; if it is, set master-name to the name " +
        place("master-name");
    case "wrong-fingerprint":
      return "only if the master has a new certificate: set master-fingerprint to the one " +
        place("master-fingerprint");
    case "malformed":
    case "old-version":
      return "if it is the master, issue its certificate again there, as X.509 version 3";
    case "weak-key":
    case "weak-signature":
      return "if it is the master, issue its certificate again there, signed with SHA-256 and with " +
        "a key of EC P-256 for example";
    case "certificate-refused":
    case "closed-after-handshake":
      return await installIssued(context, "worker.crt", "worker.key");
  }
  if (failure instanceof ConnectionError) {
    return fixWithoutTls(failure.reason, { key, port, defaultPort, place: placeOf(key) });
  }
  // If only the dates are wrong, ca.crt is the right one.
  const isDated = failure.reason === "expired" || failure.reason === "not-yet-valid";
  if (!isDated || !failure.isSigned) return await installIssued(context, "ca.crt");
  const fix = "renew the master's certificate; if this host's clock is wrong, set it";
  return context.withSystemd(fix, "timedatectl set-ntp true");
}

/** A key for a port of the master, where it is or can be set, and its usual value. */
interface PortKey {
  readonly key: "swarmctl-port" | "syslog-port";
  readonly place: string;
  readonly defaultPort: number;
}

function fixPort({ key, place, defaultPort }: PortKey): string {
  return `correct ${key} ${place}; masters usually listen on ${defaultPort}`;
}

/** Returns how to fix a master that does not answer with TLS on `port`. */
export function fixWithoutTls(
  reason: ConnectionReason,
  { port, ...of }: PortKey & { readonly port: number },
): string {
  const listing = `see on the master which program listens on port ${port} (ss -ltnp)`;
  if (reason === "old-tls") return `${listing}; update it`;
  if (reason === "nothing-in-common") {
    return `${listing}; correct its TLS settings, or issue its certificate again, with a key of EC ` +
      "P-256 for example";
  }
  if (reason !== "not-tls") return `${listing}; read its log, then restart it`;
  return port === of.defaultPort ? `${listing}; it must speak TLS there` : fixPort(of);
}

const apiTimeoutMs = 2_000;
/** How long an agent may go on to use certificates that were replaced, in milliseconds. */
const reloadMs = 6_000;
const retryMs = 250;
const wildcards: ReadonlyMap<string, string> = new Map([["0.0.0.0", "127.0.0.1"], ["::", "::1"]]);

/** Checks that the agent's API listens as configured. Sends no request. */
export async function checkApi(context: DoctorContext): Promise<Result> {
  const { configuration: { listen }, settings } = context.config;
  if (!listen) return skipped("listen is not set");
  const result = await tryApi(context, listen);
  if (!wildcards.has(listen.host)) return result;
  const why = settings.find(({ key }) => key === "listen")?.text;
  const remark = `listen = ${why} means all addresses of this host; let only the master reach ` +
    "that port";
  return { ...result, details: [...result.details, remark] };
}

async function tryApi(
  context: DoctorContext,
  listen: { readonly host: string; readonly port: number },
): Promise<Result> {
  const { config: { placeOf }, options: { signal } } = context;
  const where = hostAndPort(listen);
  const { port } = listen;
  const host = wildcards.get(listen.host) ?? listen.host;
  if (!wildcards.has(listen.host) && !hasAddress(host)) {
    const any = hostAndPort({ host: host.includes(":") ? "::" : "0.0.0.0", port });
    const fix = `set listen to an address of this host, or to ${any} ${placeOf("listen")}`;
    return warning(`${where}: this host has no such address`, fix);
  }
  const identity = await identityOf(context);
  if (identity.kind === "invalid") return skipped("the certificates cannot be used");
  const [own] = identity.chain;
  const address = { host, port, name: host, fingerprint: null };
  const limits = { timeoutMs: apiTimeoutMs, signal };
  const tcp = await connectTo(address, limits).catch((error: ConnectionError) => error);
  if (tcp instanceof ConnectionError) return await judgeSilence(context, where, tcp);
  tcp.destroy();
  const tls = await loadTls();
  const show = async () => (await presentedChain(tls, address, limits).catch(() => null))?.[0];
  let shown = await show();
  const until = performance.now() + await reloadLeftMs(context);
  while (shown && shown.fingerprint256 !== own.fingerprint256 && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, retryMs));
    shown = await show();
  }
  if (shown?.fingerprint256 !== own.fingerprint256) return await judgeOther(context, where, shown);
  const fields = fieldsOf(own);
  if (!fields?.alternatives) {
    const lack = "worker.crt has no name or address, so no master can verify it";
    const fix = "on the master, issue worker.crt again with this host's address";
    return warning(`${where}: ${lack}`, fix);
  }
  return ok(`the agent listens on ${where}, as ${namesIn(fields)}`);
}

/** Returns for how many milliseconds a running agent may still use the certificates from before. */
async function reloadLeftMs({ agent }: DoctorContext): Promise<number> {
  const { ctime } = await Deno.stat(`${agent.agentDirectory}/worker.crt`);
  return Math.min(reloadMs, (ctime?.getTime() ?? 0) + reloadMs - Date.now());
}

async function judgeSilence(
  context: DoctorContext,
  where: string,
  { message, reason }: ConnectionError,
): Promise<Result> {
  if (await readRunningAgent(context.stateDirectory) === null) {
    return skipped(`no agent is running, so nothing listens on ${where}`);
  }
  const [what] = message.split(";");
  if (reason === "no-route" || reason === "no-connection") {
    const fix = "let this host reach its own addresses: see its packet filter, and bring the " +
      "loopback interface up: ip link set lo up";
    return warning(`${where}: ${what}, although this is an address of this host`, fix);
  }
  const text = `${where}: ${what}, although an agent is running; its log says why`;
  const { isActive } = await serviceOf(context);
  return warning(text, `restart the agent${isActive ? ": systemctl restart decnet-agent" : ""}`);
}

async function judgeOther(
  context: DoctorContext,
  where: string,
  shown: X509Certificate | undefined,
): Promise<Result> {
  if (!shown) {
    const fix =
      "find out which program it is, then stop it or set listen to another port: ss -ltnp";
    return warning(`${where}: another program listens there`, fix);
  }
  const { isActive } = await serviceOf(context);
  const fix = "find out which program it is (ss -ltnp); if it is the agent with its old " +
    `certificate, ${isActive ? "reload it: systemctl reload decnet-agent" : "send it SIGHUP"}`;
  return warning(`${where}: another certificate answers there`, fix);
}

function hasAddress(host: string): boolean {
  if (host.startsWith("127.")) return true;
  try {
    return Deno.networkInterfaces().some(({ address }) => address === host.toLowerCase());
  } catch {
    // Without the list, the connection shows it.
    return true;
  }
}
