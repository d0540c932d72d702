import { hostAndPort } from "../../master/mod.ts";
import { HandshakeFailure, WrongPeer } from "../../master/handshake.ts";
import { installFromBundle } from "../bundle.ts";
import { type Check, failed, ok, type Result, skipped } from "../check.ts";
import type { Patient } from "../patient.ts";
import { timeOf } from "./validity.ts";

/** Where a master listens unless it is told otherwise. */
const usualPort = 8770;
const notSet = "master-host is not set";

/** Whether the master's name leads to an address. */
export const masterName: Check = {
  name: "master-name",
  code: 2,
  async run(patient) {
    const { master } = patient.options.agent;
    if (!master) return skipped(notSet);
    const { addresses } = await patient.master();
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
  async run(patient) {
    const { master } = patient.options.agent;
    if (!master) return skipped(notSet);
    const { connection } = await patient.master();
    if (!connection) return skipped("its name was not resolved");
    const where = hostAndPort(master);
    if (!("error" in connection)) {
      return ok(`${where} takes connections, within ${Math.round(connection.ms)} ms`);
    }
    const isRefused = connection.code === "ECONNREFUSED";
    // Where nothing comes back at all, a packet filter is the usual reason.
    const mend = isRefused
      ? `on the master: ss -ltnp 'sport = :${master.port}' must show its server; start it`
      : `on the master: iptables -I INPUT -p tcp --dport ${master.port} -j ACCEPT`;
    return failed(`Cannot reach the master at ${where}: ${connection.error}`, mend);
  },
};

/** Whether both ends prove to each other who they are. No request is sent: that would be a beat. */
export const masterTls: Check = {
  name: "master-tls",
  code: 2,
  async run(patient) {
    const { master } = patient.options.agent;
    if (!master) return skipped(notSet);
    const { connection, handshake } = await patient.master();
    if (!connection || "error" in connection) return skipped("there is no connection");
    if (!handshake) return skipped("the certificates cannot be used");
    if (handshake instanceof HandshakeFailure) return await judge(patient, handshake);
    const { protocol, names, validTo } = handshake;
    return ok(
      `${protocol} with ${names}, valid to ${timeOf(Date.parse(validTo))}`,
      "it did not refuse worker.crt; whether it knows this host-uuid, only a beat tells: " +
        await patient.command("--once"),
    );
  },
};

async function judge(
  patient: Patient,
  { message, kind, cause }: HandshakeFailure,
): Promise<Result> {
  const { options } = patient;
  const { master } = options.agent;
  const saw = `Cannot reach the master at ${hostAndPort(master!)}: ${message}`;
  if (cause instanceof WrongPeer) {
    const { wanted, presented } = cause;
    if (wanted === "fingerprint") {
      return failed(
        `${saw}; only if the master was given a new certificate:`,
        options.commandToSet("master-fingerprint", presented),
      );
    }
    const name = /(?:DNS:|IP Address:|CN:)([\w.:-]+)/.exec(presented)?.[1];
    return failed(saw, options.commandToSet("master-name", name ?? "NAME"));
  }
  switch (kind) {
    case "authority":
      // The authority is right where only the dates are not.
      return /has expired|not valid yet/.test(message) && !message.includes("not signed by")
        ? failed(saw, "on the master: renew its certificate; here: timedatectl set-ntp true")
        : failed(saw, await installFromBundle(patient, "ca.crt"));
    case "worker certificate":
      return failed(saw, await installFromBundle(patient, "worker.crt", "worker.key"));
    default:
      return failed(saw, mendOfNoTls(message, master!.port, options.commandToSet));
  }
}

/** What mends that nobody answered as a server of TLS would, as `message` tells. */
export function mendOfNoTls(
  message: string,
  port: number,
  commandToSet: Patient["options"]["commandToSet"],
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
