/**
 * Sends many heartbeats without a pause: KIND SOCKET HEARTBEATS SAMPLES MASTER_PORT. KIND is how each
 * must end, a `kind` of SendResult. So many times, at equal distances, it prints a line and waits for a
 * byte.
 */

import { dirname } from "node:path";
import { Agent } from "../../agent/heartbeat.ts";
import { standInOptions } from "../../tests/support/topology.ts";

const [kind = "", socket = "", count, samples, masterPort] = Deno.args;
const port = { not_configured: null, delivered: Number(masterPort), unreachable: 1 }[kind] ?? null;
const prefixes = { networkPrefixes: ["decnet_t_"], containerPrefixes: ["decnet_t_"] };
const { signal } = new AbortController();
const agent = new Agent({
  agentVersion: "0",
  hostUuid: "bench",
  master: port === null
    ? null
    : { host: "127.0.0.1", port, name: "master.test", fingerprint: null },
  agentDirectory: `${dirname(socket)}/0`,
  storePath: `${socket}.db`,
  sockets: [socket],
  planOptions: standInOptions,
  ...prefixes,
});

const distance = Math.ceil(Number(count) / Number(samples));
for (let done = 1; done <= distance * Number(samples); done++) {
  const { snapshot, result } = await agent.sendHeartbeat(signal);
  if (snapshot.drift.state !== "consistent" || result.kind !== kind) {
    throw new Error(`${snapshot.drift.state}, ${result.kind}`);
  }
  if (done % distance > 0) continue;
  Deno.stdout.writeSync(new TextEncoder().encode(`${done}\n`));
  // Its memory is read from outside meanwhile.
  Deno.stdin.readSync(new Uint8Array(1));
}
