import assert from "node:assert/strict";
import { request } from "node:http";
import { container, type FakeEngine, network, withEngine } from "./mod.ts";
import { encode } from "./reply.ts";

const labels = { "decnet.topology.id": "t1" };
/** Three networks. */
export const networks = [
  network({ name: "bridge", subnet: "172.17.0.0/16" }),
  network({ name: "decnet_t_1_lan", subnet: "10.0.0.0/24", labels, internal: true }),
  network({ name: "other", driver: "macvlan" }),
];
/** Four containers, one of which has exited. */
export const containers = [
  container({
    name: "decnet_t_1_web",
    labels,
    health: "unhealthy",
    addresses: { decnet_t_1_lan: "10.0.0.5" },
  }),
  container({ name: "decnet_t_1_web-http", networkMode: "container:decnet_t_1_web" }),
  container({ name: "gone", state: "exited" }),
  container({ name: "waits", state: "paused" }),
];

/** Runs a test against an engine that has them. */
export function withStock(test: (engine: FakeEngine) => Promise<void>): Promise<void> {
  return withEngine(async (engine) => {
    engine.networks = networks;
    engine.containers = containers;
    await test(engine);
  });
}

/** Sends GETs in one write and reads until the engine closes or the time is up. */
export async function exchange(engine: FakeEngine, targets: string[], waitMs = 5000) {
  using connection = await Deno.connect({ transport: "unix", path: engine.socketPath });
  const requests = targets.map((target, i) => {
    const last = i === targets.length - 1 ? "Connection: close\r\n" : "";
    return `GET ${target} HTTP/1.1\r\nHost: docker\r\n${last}\r\n`;
  });
  await connection.write(new TextEncoder().encode(requests.join("")));
  const bytes: number[] = [];
  let end: "closed" | "reset" | "silent" = "closed";
  const timer = setTimeout(() => {
    end = "silent";
    connection.close();
  }, waitMs);
  try {
    for await (const part of chunksOf(connection)) bytes.push(...part);
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionReset) end = "reset";
    else assert.equal(end, "silent", String(error));
  }
  clearTimeout(timer);
  return { end, text: new TextDecoder("latin1").decode(Uint8Array.from(bytes)) };
}

async function* chunksOf(connection: Deno.Conn): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const length = await connection.read(buffer);
    if (length === null) return;
    yield buffer.slice(0, length);
  }
}

/** What comes in JSON, a list or an object; these fields are the ones that tests ask for. */
export interface AnswerBody {
  readonly Id?: string;
  readonly message?: string;
  readonly [field: string]: unknown;
}

/** An answer as a client sees it; `body` is null when there is none. */
export interface Answer {
  readonly status: number;
  readonly body: AnswerBody | null;
}

/**
 * Calls the engine at a socket, with a body in JSON unless it is a text, which goes as it is. Throws
 * `Error` when no whole answer comes. (fetch would call a second time where the first was cut off.)
 */
export function call(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const headers = text === undefined
    ? {}
    : { "Content-Type": "application/json", "Content-Length": encode(text).length };
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path, headers, agent: false }, async (response) => {
      try {
        let answer = "";
        for await (const part of response.setEncoding("utf8")) answer += part;
        const status = response.statusCode ?? 0;
        resolve({ status, body: answer === "" ? null : JSON.parse(answer) });
      } catch (error) {
        reject(error);
      }
    });
    sent.on("error", reject).end(text ?? "");
  });
}

/** The names that a list call answers with. */
export async function names(
  engine: FakeEngine,
  path: string,
  filters?: unknown,
): Promise<string[]> {
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: engine.socketPath } });
  const query = filters ? `filters=${encodeURIComponent(JSON.stringify(filters))}` : "";
  const url = `http://localhost${path}${path.includes("?") ? "&" : "?"}${query}`;
  const response = await fetch(url, { client });
  const items = await response.json();
  if (!response.ok) return [items.message];
  return items.map((item: { Name?: string; Names?: string[] }) => item.Name ?? item.Names?.[0]);
}
