import { hostAndPort, type MasterAddress, PeerMismatchError } from "../master/connection.ts";
import { connectTo, HandshakeFailure } from "../master/handshake.ts";
import { presentedCertificates } from "../master/trust.ts";
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
    if (!("error" in connection)) {
      return ok(`${where} takes connections, within ${Math.round(connection.ms)} ms`);
    }
    const isRefused = connection.code === "ECONNREFUSED";
    // Where nothing comes back at all, a packet filter is the usual reason.
    const fix = isRefused
      ? `on the master: ss -ltnp 'sport = :${master.port}' must show its server; start it`
      : `on the master: iptables -I INPUT -p tcp --dport ${master.port} -j ACCEPT`;
    return failed(`Cannot reach the master at ${where}: ${connection.error}`, fix);
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
    if (!connection || "error" in connection) return skipped("there is no connection");
    if (!handshake) return skipped("the certificates cannot be used");
    if (handshake instanceof HandshakeFailure) return await judge(context, handshake);
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
  { message, kind, cause }: HandshakeFailure,
): Promise<Result> {
  const { options } = context;
  const { master } = options.agent;
  const details = `Cannot reach the master at ${hostAndPort(master!)}: ${message}`;
  if (cause instanceof PeerMismatchError) {
    const { wanted, presented } = cause;
    if (wanted === "fingerprint") {
      return failed(
        `${details}; only if the master was given a new certificate:`,
        options.commandToSet("master-fingerprint", presented),
      );
    }
    const name = /(?:DNS:|IP Address:|CN:)([\w.:-]+)/.exec(presented)?.[1];
    return failed(details, options.commandToSet("master-name", name ?? "NAME"));
  }
  switch (kind) {
    case "authority":
      // The authority is right where only the dates are not.
      return /has expired|not valid yet/.test(message) && !message.includes("not signed by")
        ? failed(details, "on the master: renew its certificate; here: timedatectl set-ntp true")
        : failed(details, await installFromBundle(context, "ca.crt"));
    case "worker certificate":
      return failed(details, await installFromBundle(context, "worker.crt", "worker.key"));
    default:
      return failed(details, mendOfNoTls(message, master!.port, options.commandToSet));
  }
}

/** What mends that nobody answered as a server of TLS would, as `message` tells. */
export function mendOfNoTls(
  message: string,
  port: number,
  commandToSet: DoctorContext["options"]["commandToSet"],
): string {
  const listing = `on the master: ss -ltnp 'sport = :${port}' shows its server`;
  if (message.includes("neither TLS 1.2")) return `${listing}; put a newer one in its place`;
  if (!message.includes("does not speak TLS")) {
    return `${listing}; its log may say more, restart it`;
  }
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
  const [https, net, tls] = await Promise.all([
    import("node:https"),
    import("node:net"),
    import("node:tls"),
  ]);
  const limits = { timeoutMs, signal: options.signal };
  const [own] = await presentedCertificates({ https, net, tls }, address, limits);
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
