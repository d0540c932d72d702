/**
 * The stand-in master for many hosts in a process of its own: FOLDER HOSTS. It writes FOLDER/N/ with
 * the certificates of each host, then its port to FOLDER/port, and each second to FOLDER/counts what
 * it has seen. Once there is a file FOLDER/close it closes each connection after its beat.
 */

import { existsSync } from "node:fs";
import { createAuthority, writeAgentDirectory } from "../../tests/support/certificates.ts";
import { TlsMaster } from "../../tests/support/tls_master.ts";
import type { MasterCounts } from "../fleet/real_agents.ts";

const [folder, hosts] = Deno.args as [string, string];
const authority = await createAuthority("bench");
const names = { commonName: "master", dnsNames: ["master.test"] };
const certificate = await authority.issue({ ...names, usage: "server" });
for (let host = 0; host < Number(hosts); host++) {
  const directory = `${folder}/${host}`;
  await Deno.mkdir(directory);
  const worker = await authority.issue({ commonName: `host-${host}`, usage: "client" });
  await writeAgentDirectory(directory, authority, worker);
}
const master = await TlsMaster.start({ authority, certificate, keepAliveMs: 60_000 });
const seen = new Set<string>();
const perSecond: Record<string, number> = {};
master.answer = () => {
  const { clientCommonName, receivedAt } = master.heartbeats.at(-1)!;
  seen.add(clientCommonName);
  const second = Math.floor(receivedAt / 1000);
  perSecond[second] = (perSecond[second] ?? 0) + 1;
  return { status: 204, ...(isClosing && { headers: { connection: "close" } }) };
};
let isClosing = false;
const tell = () => {
  isClosing = existsSync(`${folder}/close`);
  const counts: MasterCounts = {
    heartbeats: master.heartbeatCount,
    hosts: seen.size,
    connections: master.connectionCount,
    openConnections: master.openConnections,
    perSecond,
  };
  Deno.writeTextFileSync(`${folder}/counts.new`, JSON.stringify(counts));
  Deno.renameSync(`${folder}/counts.new`, `${folder}/counts`);
};
tell();
setInterval(tell, 1000);
await Deno.writeTextFile(`${folder}/port`, String(master.port));
