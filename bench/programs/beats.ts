/**
 * Makes many beats in one way and reports the resident memory: WAY SOCKET BEATS MASTER_PORT.
 * `agent` is the agent's own beat, store and drift included; the others only make the two list calls.
 */

import { dirname } from "node:path";
import { Agent } from "../../agent/heartbeat.ts";
import { TimeoutSet } from "../../docker/http.ts";
import { observe } from "../../docker/observe.ts";
import { defaultImages } from "../../topology/plan.ts";

const [transport, socket, count, port] = Deno.args as [string, string, string, string];
const masterPort = Number(port);
const prefixes = { networkPrefixes: ["decnet_t_"], containerPrefixes: ["decnet_t_"] };
const paths = ["/networks", "/containers/json?all=1"];

async function fetchLists(client: Deno.HttpClient): Promise<void> {
  for (const path of paths) {
    await (await fetch(`http://localhost${path}`, { client })).json();
  }
}

function heartbeatsOfAgent(port: number | null, wanted: string) {
  const agent = new Agent({
    agentVersion: "0",
    hostUuid: "bench",
    master: port === null
      ? null
      : { host: "127.0.0.1", port, name: "master.test", fingerprint: null },
    agentDirectory: dirname(socket),
    storePath: `${socket}.db`,
    sockets: [socket],
    images: defaultImages,
    ...prefixes,
  });
  const { signal } = new AbortController();
  return Promise.resolve(async () => {
    const { snapshot, delivery } = await agent.sendHeartbeat(signal);
    if (snapshot.drift.state === "consistent" && delivery.result === wanted) return;
    throw new Error(`${snapshot.drift.state}, ${delivery.result}`);
  });
}

const proxy = { transport: "unix", path: socket } as const;

const transports: Record<string, () => Promise<() => Promise<unknown>>> = {
  agent: () => heartbeatsOfAgent(null, "not_configured"),
  "agent, with a master": () => heartbeatsOfAgent(masterPort, "delivered"),
  "agent, its master absent": () => heartbeatsOfAgent(1, "unreachable"),
  socket: () => {
    const { signal } = new AbortController();
    const timeouts = new TimeoutSet();
    return Promise.resolve(() => observe(signal, { socket, timeouts, ...prefixes }));
  },
  "fetch, one client": () => {
    const client = Deno.createHttpClient({ proxy });
    return Promise.resolve(() => fetchLists(client));
  },
  "fetch, one client without idle connections": () => {
    const client = Deno.createHttpClient({ proxy, poolMaxIdlePerHost: 0 });
    return Promise.resolve(() => fetchLists(client));
  },
  "fetch, a client a beat": () =>
    Promise.resolve(async () => {
      const client = Deno.createHttpClient({ proxy });
      await fetchLists(client);
      client.close();
    }),
  "node:http": async () => {
    const { request } = await import("node:http");
    const get = (path: string) =>
      new Promise((resolve, reject) => {
        request({ socketPath: socket, path }, (response) => {
          const chunks: string[] = [];
          response.setEncoding("utf8").on("data", (chunk: string) => chunks.push(chunk));
          response.on("end", () => resolve(JSON.parse(chunks.join("")))).on("error", reject);
        }).on("error", reject).end();
      });
    return async () => {
      for (const path of paths) await get(path);
    };
  },
};

function residentMiB(): string {
  return (Deno.memoryUsage().rss / 2 ** 20).toFixed(1);
}

const heartbeat = await transports[transport]!();
const total = Number(count);
const startedAt = performance.now();
const result: Record<string, string> = {};
for (let done = 1; done <= total; done++) {
  await heartbeat();
  if (done === Math.ceil(total / 10)) result.early = residentMiB();
}
result.late = residentMiB();
result.msPerHeartbeat = ((performance.now() - startedAt) / total).toFixed(2);
Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(result)));
Deno.exit(0);
