import type { X509Certificate } from "node:crypto";
import { exists, systemPaths } from "../host/files.ts";
import { hostAndPort } from "../host/log.ts";
import { listenerAddress, listenerProblem } from "../logs/sender.ts";
import {
  CertificateError,
  CertificateFolder,
  type Certificates,
  parseChain,
} from "../master/certificates.ts";
import { fieldsOf } from "../master/chain.ts";
import {
  ConnectionError,
  connectTo,
  type MasterAddress,
  resolveHost,
} from "../master/connection.ts";
import { presentedChain, testHandshake, TrustError } from "../master/trust.ts";
import { namesIn } from "../master/x509.ts";
import { type DoctorContext, failed, ok, type Result, skipped, warning } from "./context.ts";
import { readRunningAgent } from "./service.ts";

/** The certificates of this host, parsed. */
export interface ValidIdentity {
  readonly kind: "valid";
  readonly certificates: Certificates;
  /** This host's own certificate first. */
  readonly chain: readonly [X509Certificate, ...X509Certificate[]];
  readonly authorities: readonly X509Certificate[];
}

/** The certificates of this host, or why they cannot be used. */
type Identity = ValidIdentity | { readonly kind: "invalid"; readonly problem: CertificateError };

/** Reads the three files as the agent does; for `context.once()`. */
export async function readIdentity({ agent }: DoctorContext): Promise<Identity> {
  try {
    const { certificates } = await new CertificateFolder(agent.agentDirectory).load();
    const chain = parseChain(certificates.certificate) as [X509Certificate, ...X509Certificate[]];
    return { kind: "valid", certificates, chain, authorities: parseChain(certificates.authority) };
  } catch (problem) {
    if (problem instanceof CertificateError) return { kind: "invalid", problem };
    throw problem;
  }
}

/** Returns how to install files that the master issued for this host. */
export function installIssued(context: DoctorContext, ...files: string[]): string {
  const { agent, agentUser, config: { settings }, service, user: own } = context;
  const isConfigured = settings.some(({ key }) => key === "agent-dir");
  // The default folder of a user is in its home, where the service does not look.
  const isOwn = exists(agent.agentDirectory) || isConfigured ||
    (own.uid !== 0 && service.unit === null);
  const folder = isOwn ? agent.agentDirectory : systemPaths.certificates;
  const text = `put ${files.join(", ")} (issued by the master for this host) into ` +
    `${folder}, owned by ${agentUser.name}`;
  const secret = files.includes("worker.key") ? " with mode 0600" : "";
  const restart = isOwn || !service.isActive ? "" : ", then: systemctl restart decnet-agent";
  return text + secret + restart;
}

/** How long each step to the master may take, in milliseconds. */
const stepTimeoutMs = 3_000;
const usualSettleMs = 1_000;

/** How far the way to a server of the master is open. */
interface Findings {
  /** The step that failed or could not be tried; null when all have worked. */
  readonly step: "name" | "connection" | "tls" | null;
  /** What has worked, a step a line. */
  readonly worked: readonly string[];
  /** Null when the step could not be tried. */
  readonly failure: ConnectionError | TrustError | null;
}

/** Connects to the master step by step, and sends no request; for `context.once()`. */
export async function tryMaster(context: DoctorContext): Promise<Findings> {
  const { master } = context.agent;
  return master ? await tryServer(context, master) : { step: "name", worked: [], failure: null };
}

async function tryServer(context: DoctorContext, server: MasterAddress): Promise<Findings> {
  const { signal, settleMs = usualSettleMs } = context.options;
  const limits = { timeoutMs: stepTimeoutMs, signal, settleMs };
  const worked: string[] = [];
  let step: Findings["step"] = "name";
  try {
    const addresses = await resolveHost(server.host, limits);
    if (!addresses.includes(server.host)) worked.push(`${server.host}: ${addresses.join(", ")}`);
    step = "connection";
    const startedAt = performance.now();
    const tcp = await connectTo(server, limits);
    const elapsedMs = Math.round(performance.now() - startedAt);
    worked.push(`${hostAndPort(server)} accepts connections, within ${elapsedMs} ms`);
    step = "tls";
    const identity = await context.once(readIdentity);
    if (identity.kind === "invalid") {
      tcp.destroy();
      worked.push("TLS was not tried: the certificates cannot be used");
      return { step, worked, failure: null };
    }
    worked.push(await testHandshake(tcp, server, identity.certificates, limits));
    return { step: null, worked, failure: null };
  } catch (failure) {
    if (failure instanceof ConnectionError || failure instanceof TrustError) {
      return { step, worked, failure };
    }
    throw failure;
  }
}

/** Checks mutual TLS with the master by a handshake only: a request would be a heartbeat. */
export async function checkMaster(context: DoctorContext): Promise<Result> {
  const { master } = context.agent;
  if (!master) return skipped("master-host is not set");
  const { step, worked, failure } = await context.once(tryMaster);
  if (failure) {
    const text = `Cannot reach the master at ${hostAndPort(master)}: ${failure.message}`;
    const fix = fixServer(context, step, failure, "swarmctl-port", master.port);
    return failed([text, ...worked], fix);
  }
  if (step !== null) return skipped(...worked);
  const report =
    "it did not refuse worker.crt; only a heartbeat shows whether it knows this host-uuid";
  return ok(...worked, context.callAgent(report, "--once"));
}

/** Checks by a handshake only that the master takes the lines of the decoys. */
export async function checkLogListener(context: DoctorContext): Promise<Result> {
  const { logs } = context.config.configuration;
  if (!logs) return skipped("syslog-port is not set, or forward-logs is false");
  const address = listenerAddress(logs);
  const { step, worked, failure } = await tryServer(context, address);
  if (failure) {
    const text = `Cannot send log lines to ${hostAndPort(address)}: ${listenerProblem(failure)}`;
    const fix = fixServer(context, step, failure, "syslog-port", logs.port);
    return warning([text, ...worked], fix);
  }
  if (step !== null) return skipped(...worked);
  const report =
    "on the master, the ingester must read the .json file that this listener writes: " +
    "see whether DECNET_INGEST_LOG_FILE names it";
  return ok(...worked, report);
}

/** Returns what lets the next connection to a server of the master succeed. */
function fixServer(
  context: DoctorContext,
  step: Findings["step"],
  failure: NonNullable<Findings["failure"]>,
  key: "swarmctl-port" | "syslog-port",
  port: number,
): string {
  if (step === "name") {
    return "correct master-host, or the name servers of this host, or add the name and its " +
      "address to /etc/hosts";
  }
  if (step === "connection") {
    // If nothing answers, a packet filter is the usual reason.
    return failure.reason === "connection-refused"
      ? `start the server on the master and check that it listens on port ${port}: ss -ltnp`
      : `let this host reach port ${port} of the master: check routes and packet filters`;
  }
  const { placeOf, defaultPort } = context.config;
  const usualPort = key === "syslog-port" ? usualLogPort : defaultPort;
  const fixPort = `correct ${key} ${placeOf(key)}; masters usually listen on ${usualPort}`;
  const listing = `see on the master which program listens on port ${port} (ss -ltnp)`;
  const place = (key: "master-name" | "master-fingerprint") =>
    `that is shown on the master itself ${placeOf(key)}`;
  switch (failure.reason) {
    case "wrong-name":
      if (key === "syslog-port") return fixPort;
      return "check that master-host is the right host; if it is, set master-name to the name " +
        place("master-name");
    case "wrong-fingerprint":
      return "only if the master has a new certificate: set master-fingerprint to the one " +
        place("master-fingerprint");
    case "malformed":
    case "old-version":
    case "weak-key":
    case "weak-signature":
      return "if it is the master, issue its certificate again there, as X.509 version 3, signed " +
        "with SHA-256 and with a key of EC P-256 for example";
    case "certificate-refused":
    case "closed-after-handshake":
      return installIssued(context, "worker.crt", "worker.key");
    case "old-tls":
    case "nothing-in-common":
      return `${listing}; update it, or correct its TLS settings`;
    case "not-tls":
      return port === usualPort ? `${listing}; it must speak TLS there` : fixPort;
  }
  if (failure instanceof ConnectionError) return `${listing}; read its log, then restart it`;
  // If only the dates are wrong, ca.crt is the right one.
  const isDated = failure.reason === "expired" || failure.reason === "not-yet-valid";
  if (!isDated || !failure.isSigned) return installIssued(context, "ca.crt");
  const fix = "renew the master's certificate; if this host's clock is wrong, set it";
  return context.withSystemd(fix, "timedatectl set-ntp true");
}

/** Where masters usually take log lines. */
const usualLogPort = 6514;

const apiTimeoutMs = 2_000;
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
  listen: Pick<MasterAddress, "host" | "port">,
): Promise<Result> {
  const { options: { signal }, service: { isActive }, stateDirectory } = context;
  const where = hostAndPort(listen);
  const host = wildcards.get(listen.host) ?? listen.host;
  const identity = await context.once(readIdentity);
  if (identity.kind === "invalid") return skipped("the certificates cannot be used");
  const [own] = identity.chain;
  const address = { host, port: listen.port, name: host, fingerprint: null };
  const limits = { timeoutMs: apiTimeoutMs, signal };
  const tcp = await connectTo(address, limits).catch((error: ConnectionError) => error);
  if (tcp instanceof ConnectionError) {
    if (await readRunningAgent(stateDirectory) === null) {
      return skipped(`no agent is running, so nothing listens on ${where}`);
    }
    const [what] = tcp.message.split(";");
    if (tcp.reason === "no-route" || tcp.reason === "no-connection") {
      const fix = "see its packet filter, and bring the loopback interface up: ip link set lo up";
      return warning(`${where}: ${what}, although this is an address of this host`, fix);
    }
    const text = `${where}: ${what}, although an agent is running; its log says why`;
    const command = isActive ? ": systemctl restart decnet-agent" : "";
    return warning(text, `restart the agent${command}`);
  }
  tcp.destroy();
  const [shown] = await presentedChain(address, limits).catch(() => null) ?? [];
  if (shown?.fingerprint256 !== own.fingerprint256) {
    const what = shown ? "certificate answers" : "program listens";
    const reload = isActive ? "reload it: systemctl reload decnet-agent" : "send it SIGHUP";
    const fix = "find out which program it is (ss -ltnp), and stop it or set listen to another " +
      `port; if it is the agent with its old certificate, ${reload}`;
    return warning(`${where}: another ${what} there`, fix);
  }
  const fields = fieldsOf(own);
  if (!fields?.alternatives) {
    const text = `${where}: worker.crt has no name or address, so no master can verify it`;
    return warning(text, "on the master, issue worker.crt again with this host's address");
  }
  return ok(`the agent listens on ${where}, as ${namesIn(fields)}`);
}
