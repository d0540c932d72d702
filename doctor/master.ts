import {
  ConnectionError,
  type ConnectionReason,
  connectTo,
  hostAndPort,
  loadTls,
  type MasterAddress,
} from "../master/connection.ts";
import { presentedCertificates, TrustError } from "../master/trust.ts";
import { timeOf } from "./certificates.ts";
import {
  type Check,
  type DoctorContext,
  failed,
  installFromBundle,
  ok,
  type Result,
  skipped,
  warning,
} from "./context.ts";
import { readLivingOwner } from "./probes.ts";

/** Where a master listens unless it is told otherwise. */
const usualPort = 8770;
const notSet = "master-host is not set";

/** Whether the master's name leads to an address. */
export const masterName: Check = {
  name: "master-name",
  code: 2,
  async run(context) {
    const { master } = context.options.agent;
    if (!master) return skipped(notSet);
    const { addresses } = await context.master();
    if (!addresses || "error" in addresses) {
      return failed(
        `${master.host}: ${addresses?.error ?? "not looked up"}`,
        `echo 'ADDRESS ${master.host}' >> /etc/hosts`,
      );
    }
    const isAddress = addresses.length === 0;
    return ok(
      isAddress ? `${master.host} is an address` : `${master.host}: ${addresses.join(", ")}`,
    );
  },
};

/** Whether somebody listens there. */
export const masterConnection: Check = {
  name: "master-connection",
  code: 2,
  async run(context) {
    const { master } = context.options.agent;
    if (!master) return skipped(notSet);
    const { connection } = await context.master();
    if (!connection) return skipped("its name was not resolved");
    const where = hostAndPort(master);
    if (!(connection instanceof ConnectionError)) {
      return ok(`${where} takes connections, within ${Math.round(connection.ms)} ms`);
    }
    const isRefused = connection.reason === "connection-refused";
    // Where nothing comes back at all, a packet filter is the usual reason.
    const fix = isRefused
      ? `on the master: ss -ltnp 'sport = :${master.port}' must show its server; start it`
      : `on the master: iptables -I INPUT -p tcp --dport ${master.port} -j ACCEPT`;
    return failed(`Cannot reach the master at ${where}: ${connection.message}`, fix);
  },
};

/** Whether both ends prove to each other who they are. No request is sent: that would be a beat. */
export const masterTls: Check = {
  name: "master-tls",
  code: 2,
  async run(context) {
    const { master } = context.options.agent;
    if (!master) return skipped(notSet);
    const { connection, handshake } = await context.master();
    if (!connection || connection instanceof ConnectionError) {
      return skipped("there is no connection");
    }
    if (!handshake) return skipped("the certificates cannot be used");
    if (handshake instanceof Error) return await judge(context, handshake);
    const { protocol, names, validTo } = handshake;
    return ok(
      `${protocol} with ${names}, valid to ${timeOf(Date.parse(validTo))}`,
      "it did not refuse worker.crt; whether it knows this host-uuid, only a beat tells: " +
        await context.command("--once"),
    );
  },
};

async function judge(
  context: DoctorContext,
  failure: ConnectionError | TrustError,
): Promise<Result> {
  const { options } = context;
  const master = options.agent.master!;
  const details = `Cannot reach the master at ${hostAndPort(master)}: ${failure.message}`;
  switch (failure.reason) {
    case "wrong-name":
      return failed(details, "check that master-host is the right master, then master-name");
    case "wrong-fingerprint":
      return failed(
        details,
        "compare master-fingerprint with the fingerprint that is shown on the master itself",
      );
    case "expired":
    case "not-yet-valid":
      return failed(
        details,
        // The authority is right where only the dates are not.
        failure instanceof TrustError && failure.isSigned
          ? "on the master: renew its certificate; here: timedatectl set-ntp true"
          : await installFromBundle(context, "ca.crt"),
      );
    case "certificate-refused":
    case "closed-after-handshake":
      return failed(details, await installFromBundle(context, "worker.crt", "worker.key"));
    default:
      return failed(
        details,
        failure instanceof TrustError
          ? await installFromBundle(context, "ca.crt")
          : fixWithoutTls(failure.reason, master.port, options.commandToSet),
      );
  }
}

/** How to fix that no server of TLS has answered. */
export function fixWithoutTls(
  reason: ConnectionReason,
  port: number,
  commandToSet: DoctorContext["options"]["commandToSet"],
): string {
  const listing = `on the master: ss -ltnp 'sport = :${port}' shows its server`;
  if (reason === "old-tls") return `${listing}; put a newer one in its place`;
  if (reason !== "not-tls") return `${listing}; its log may say more, restart it`;
  return port === usualPort
    ? `${listing}; it must speak TLS there`
    : commandToSet("swarmctl-port", String(usualPort));
}

const timeoutMs = 2_000;
const wildcards: ReadonlyMap<string, string> = new Map([["0.0.0.0", "127.0.0.1"], ["::", "::1"]]);

/** Whether the agent's API listens as configured. No request is sent. */
export const api: Check = {
  name: "api",
  code: 3,
  async run(context) {
    const { listen, commandToSet, signal } = context.options;
    if (!listen) return skipped("listen is not set");
    const where = hostAndPort(listen);
    const { host, port } = { ...listen, host: wildcards.get(listen.host) ?? listen.host };
    if (!wildcards.has(listen.host) && !hasAddress(host)) {
      const any = hostAndPort({ host: host.includes(":") ? "::" : "0.0.0.0", port });
      return warning(`${where}: this host has no such address`, commandToSet("listen", any));
    }
    const identity = await context.identity();
    if ("problem" in identity) return skipped("the certificates cannot be used");
    const [own] = identity.chain;
    const isRunning = await readLivingOwner(`${context.stateDirectory}/agent.lock`) !== null;
    try {
      (await connectTo({ host, port }, { timeoutMs, signal })).destroy();
    } catch (error) {
      if (!isRunning) return skipped(`no loop runs, and so nobody listens on ${where}`);
      const [what] = (error as Error).message.split(";");
      return warning(
        `${where}: ${what}, although a loop runs; its log says why`,
        "systemctl restart decnet-agent",
      );
    }
    const shown = await certificateAt({ host, port, name: host, fingerprint: null }, context);
    if (shown !== own.fingerprint256) {
      return warning(
        `${where}: ${shown === null ? "another program" : "somebody with another certificate"} ` +
          "listens there",
        commandToSet("listen", hostAndPort({ ...listen, port: port === 65535 ? 8765 : port + 1 })),
      );
    }
    const names = own.subjectAltName;
    if (names === undefined) {
      const lack = "worker.crt bears no name or address, so that no master can call by one";
      return warning(`${where}: ${lack}`, "on the master: issue it with this host's address");
    }
    return ok(`the agent listens on ${where}, as ${names}`);
  },
};

async function certificateAt(
  address: MasterAddress,
  { options }: DoctorContext,
): Promise<string | null> {
  const limits = { timeoutMs, signal: options.signal };
  const [own] = await presentedCertificates(await loadTls(), address, limits);
  return own?.fingerprint256 ?? null;
}

function hasAddress(host: string): boolean {
  if (host.startsWith("127.")) return true;
  try {
    return Deno.networkInterfaces().some(({ address }) => address === host.toLowerCase());
  } catch {
    // Where the system does not tell, listening will.
    return true;
  }
}
