/**
 * Sends many heartbeats in one way and prints the resident memory and the time: WAY SOCKET HEARTBEATS
 * MASTER_PORT. `agent` sends whole heartbeats, the others only make the two list calls.
 */

import { standInOptions } from "../../tests/support/topology.ts";
import { dirname } from "node:path";
import { Agent } from "../../agent/heartbeat.ts";
import { TimeoutSet } from "../../docker/http.ts";
import { observe } from "../../docker/observe.ts";

const [transport = "", socket = "", count, port] = Deno.args;
const prefixes = { networkPrefixes: ["decnet_t_"], containerPrefixes: ["decnet_t_"] };
const paths = ["/networks", "/containers/json?all=1"];
const { signal } = new AbortController();

async function fetchLists(client: Deno.HttpClient): Promise<void> {
  for (const path of paths) await (await fetch(`http://localhost${path}`, { client })).json();
}

/** Returns the work of a whole heartbeat; it throws when that does not end with `wanted`. */
function heartbeatsOfAgent(port: number | null, wanted: string): () => Promise<void> {
  const host = "127.0.0.1";
  const agent = new Agent({
    agentVersion: "0",
    hostUuid: "bench",
    master: port === null ? null : { host, port, name: "master.test", fingerprint: null },
    agentDirectory: `${dirname(socket)}/0`,
    storePath: `${socket}.db`,
    sockets: [socket],
    planOptions: standInOptions,
    ...prefixes,
  });
  return async () => {
    const { snapshot, result } = await agent.sendHeartbeat(signal);
    if (snapshot.drift.state === "consistent" && result.kind === wanted) return;
    throw new Error(`${snapshot.drift.state}, ${result.kind}`);
  };
}

function newClient(poolMaxIdlePerHost?: number): Deno.HttpClient {
  const proxy = { transport: "unix", path: socket } as const;
  const options = poolMaxIdlePerHost === undefined ? {} : { poolMaxIdlePerHost };
  return Deno.createHttpClient({ proxy, ...options });
}

const transports: Record<string, () => () => Promise<unknown>> = {
  agent: () => heartbeatsOfAgent(null, "not_configured"),
  "agent, with a master": () => heartbeatsOfAgent(Number(port), "delivered"),
  "agent, its master absent": () => heartbeatsOfAgent(1, "unreachable"),
  socket: () => {
    const timeouts = new TimeoutSet();
    return () => observe(signal, { socket, timeouts, ...prefixes });
  },
  "fetch, one client": () => fetchLists.bind(null, newClient()),
  "fetch, one client without idle connections": () => fetchLists.bind(null, newClient(0)),
  "fetch, a client a heartbeat": () => async () => {
    const client = newClient();
    await fetchLists(client);
    client.close();
  },
  "node:http": () => async () => {
    for (const path of paths) await getWithNode(path);
  },
};

async function getWithNode(path: string): Promise<unknown> {
  const { request } = await import("node:http");
  return await new Promise((resolve, reject) => {
    request({ socketPath: socket, path }, (response) => {
      const chunks: string[] = [];
      response.setEncoding("utf8").on("data", (chunk: string) => chunks.push(chunk));
      response.on("end", () => resolve(JSON.parse(chunks.join("")))).on("error", reject);
    }).on("error", reject).end();
  });
}

const residentMiB = () => Deno.memoryUsage().rss / 2 ** 20;
const send = transports[transport]!();
const total = Number(count);
const startedAt = performance.now();
let early = 0;
for (let done = 1; done <= total; done++) {
  await send();
  if (done === Math.ceil(total / 10)) early = residentMiB();
}
const ms = (performance.now() - startedAt) / total;
const text = JSON.stringify({ early, late: residentMiB(), ms });
Deno.stdout.writeSync(new TextEncoder().encode(text));
Deno.exit(0);
