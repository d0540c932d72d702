import { hostAndPort, type MasterAddress } from "../../master/mod.ts";
import { connectTo, presentedCertificates } from "../../master/handshake.ts";
import { type Check, ok, skipped, warning } from "../check.ts";
import { readLivingHolder } from "../holder.ts";
import type { Patient } from "../patient.ts";

const timeoutMs = 2_000;
const wildcards: ReadonlyMap<string, string> = new Map([["0.0.0.0", "127.0.0.1"], ["::", "::1"]]);

/** Whether the agent's API listens as configured. No request is sent. */
export const api: Check = {
  name: "api",
  code: 3,
  async run(patient) {
    const { listen, commandToSet, signal } = patient.options;
    if (!listen) return skipped("listen is not set");
    const where = hostAndPort(listen);
    const { host, port } = { ...listen, host: wildcards.get(listen.host) ?? listen.host };
    if (!wildcards.has(listen.host) && !hasAddress(host)) {
      const any = hostAndPort({ host: host.includes(":") ? "::" : "0.0.0.0", port });
      return warning(`${where}: this host has no such address`, commandToSet("listen", any));
    }
    const identity = await patient.identity();
    if ("problem" in identity) return skipped("the certificates cannot be used");
    const [own] = identity.chain;
    const isRunning = await readLivingHolder(`${patient.stateDirectory}/agent.lock`) !== null;
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
    const shown = await certificateAt({ host, port, name: host, fingerprint: null }, patient);
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

async function certificateAt(address: MasterAddress, { options }: Patient): Promise<string | null> {
  const [https, net, tls] = await Promise.all([
    import("node:https"),
    import("node:net"),
    import("node:tls"),
  ]);
  const bounds = { timeoutMs, signal: options.signal };
  const [own] = await presentedCertificates({ https, net, tls }, address, bounds);
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
