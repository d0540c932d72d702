/**
 * The stand-in master for many hosts in a process of its own: FOLDER HOSTS. It writes FOLDER/N/ with
 * the certificates of each host, then its port to FOLDER/port, and each second to FOLDER/counts what
 * it has received. Once there is a file FOLDER/close it closes each connection after its heartbeat.
 */

import { existsSync } from "node:fs";
import { startMaster } from "../agent.ts";

/** What it has received until now; `hosts` counts certificates, `perSecond` Unix seconds. */
export type MasterCounts =
  & Readonly<Record<"heartbeats" | "hosts" | "connections" | "openConnections", number>>
  & { readonly perSecond: Readonly<Record<number, number>> };

async function main([folder = "", hosts = "1"]: readonly string[]): Promise<void> {
  const folders = Array.from({ length: Number(hosts) }, (_, host) => `${folder}/${host}`);
  const master = await startMaster(folders);
  const seen = new Set<string>();
  const perSecond: Record<string, number> = {};
  let isClosing = false;
  master.answer = () => {
    const { clientCommonName, receivedAt } = master.heartbeats.at(-1)!;
    seen.add(clientCommonName);
    const second = Math.floor(receivedAt / 1000);
    perSecond[second] = (perSecond[second] ?? 0) + 1;
    return { status: 204, ...(isClosing && { headers: { connection: "close" } }) };
  };
  const report = () => {
    isClosing = existsSync(`${folder}/close`);
    const { heartbeatCount: heartbeats, connectionCount: connections, openConnections } = master;
    const counts = { heartbeats, hosts: seen.size, connections, openConnections, perSecond };
    Deno.writeTextFileSync(`${folder}/counts.new`, JSON.stringify(counts satisfies MasterCounts));
    Deno.renameSync(`${folder}/counts.new`, `${folder}/counts`);
  };
  report();
  setInterval(report, 1000);
  await Deno.writeTextFile(`${folder}/port`, String(master.port));
}

if (import.meta.main) await main(Deno.args);
