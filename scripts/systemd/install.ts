import { createAuthority, writeAgentDirectory } from "../../tests/certificates.ts";
import { Playground } from "../../tests/real/playground.ts";
import { TlsMaster } from "../../tests/tls_master.ts";
import type { Machine } from "./machine.ts";
import { Site, type SiteParts } from "./site.ts";
import { addUser, user } from "./user.ts";

const configurationPath = "/etc/decnet/decnet.ini";

/** The common name in the agent's certificate. */
export const worker = "host-1";

/**
 * Installs the agent on a machine as an operator would: its user, its certificates, its configuration
 * and the units that it prints. `socket` is the engine's, out here. What is started for it is put on
 * `stack`.
 */
export async function install(
  machine: Machine,
  socket: string,
  stack: AsyncDisposableStack,
): Promise<Site> {
  const authority = await createAuthority("check authority");
  const server = { commonName: "master", dnsNames: ["master.test"], usage: "server" } as const;
  const certificate = await authority.issue({ ...server, dnsNames: [...server.dnsNames] });
  const master = stack.use(await TlsMaster.start({ authority, certificate }));
  const playground = stack.use(await Playground.open(socket));
  const own = await authority.issue({ commonName: worker, ipAddresses: ["127.0.0.1"] });
  const { certificatePem, keyPem } = await authority.issue({
    commonName: "decnet-master",
    usage: "client",
  });
  const caller = { authority: authority.certificatePem, certificate: certificatePem, key: keyPem };
  const site = new Site({ machine, master, playground, api: { port: freePort(), caller } });

  await addUser(machine, (await Deno.stat(socket)).gid ?? 0);
  await Deno.writeTextFile(machine.path("/etc/hosts"), "127.0.0.1 localhost master.test\n");
  await Deno.mkdir(machine.path("/etc/decnet/agent"), { recursive: true });
  await writeAgentDirectory(machine.path("/etc/decnet/agent"), authority, own);
  await machine.run(["chown", `${user}:`, "/etc/decnet/agent/worker.key"]);
  await machine.shell(printing);
  await configure(machine, settings(site));
  return site;
}

/** As the comments in the files tell. */
const printing = `set -e
decnet-agent print config > ${configurationPath}
decnet-agent print systemd-service > /etc/systemd/system/decnet-agent.service
decnet-agent print systemd-timer | awk '/^# \\/etc\\// { file = $2 } { print > file }'
systemctl daemon-reload`;

function settings({ master, playground, api }: SiteParts): Record<string, string> {
  const image = `decnet-agent-test-${playground.tag}:1`;
  return {
    "master-host": "master.test",
    "swarmctl-port": String(master.port),
    "host-uuid": crypto.randomUUID(),
    "interval": "5s",
    "listen": `127.0.0.1:${api.port}`,
    "base-image": image,
    "service-image": image,
  };
}

/** Gives keys a value in the printed configuration, where each is a comment at first. */
export async function configure(machine: Machine, values: Record<string, string>): Promise<void> {
  const path = machine.path(configurationPath);
  let text = await Deno.readTextFile(path);
  for (const [key, value] of Object.entries(values)) {
    const line = new RegExp(`^#?${key} = .*$`, "m");
    if (!line.test(text)) throw new Error(`Cannot set ${key}: the printed configuration lacks it`);
    text = text.replace(line, `${key} = ${value}`);
  }
  await Deno.writeTextFile(path, text);
}

/** A TCP port that nobody listens on. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
