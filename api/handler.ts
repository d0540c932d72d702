import type { IncomingMessage, ServerResponse } from "node:http";
import type { Log } from "../host/mod.ts";
import { type Answer, answerFor, HttpError, send } from "./answer.ts";
import { ClientGone, type JsonObject, objectOf, readObject, textOf } from "./body.ts";
import type { Bounds } from "./bounds.ts";
import type { Connection } from "./connections.ts";
import type { ApiService } from "./service.ts";
import type { Turns } from "./turns.ts";

/** One call of the table; answers what goes out with status 200. */
interface Route {
  readonly method: "GET" | "POST";
  run(call: Call): Promise<unknown>;
}

interface Call {
  readonly service: ApiService;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
  readBody(): Promise<JsonObject>;
}

const routes: ReadonlyMap<string, Route> = new Map<string, Route>([
  ["/health", {
    method: "GET",
    run: () => Promise.resolve({ status: "ok" }),
  }],
  ["/topology/state", {
    method: "GET",
    run: ({ service, signal }) => service.state(signal),
  }],
  ["/topology/apply", {
    method: "POST",
    async run({ service, signal, readBody }) {
      const body = await readBody();
      const versionHash = textOf(body.version_hash, "version_hash");
      await service.apply(objectOf(body.hydrated, "hydrated"), versionHash, signal);
      return { status: "applied", version_hash: versionHash };
    },
  }],
  ["/topology/teardown", {
    method: "POST",
    async run({ service, signal, readBody }) {
      const topologyId = textOf((await readBody()).topology_id, "topology_id");
      await service.teardown(topologyId, signal);
      return { status: "torn_down", topology_id: topologyId };
    },
  }],
]);

/** What requests are answered with. */
export interface HandlerOptions {
  readonly service: ApiService;
  readonly turns: Turns;
  readonly bounds: Bounds;
  readonly log: Log;
}

/** Answers one request, whatever comes; never throws. */
export async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  connection: Connection,
  { service, turns, bounds, log }: HandlerOptions,
): Promise<void> {
  // Without a listener, a client that goes away in the middle would end the process.
  request.on("error", () => {});
  if (!connection.isAllowed) {
    const body = { detail: "this certificate is not one of those that may call this agent" };
    return await send(request, response, { status: 403, body }, { close: true, drainMs: 0 });
  }
  const expectation = request.headers.expect;
  let endTurn = () => {};
  const readBody = async () => {
    // What waits for its turn takes no more memory than what the system keeps for it.
    endTurn = await turns.take(connection.gone);
    if (expectation !== undefined) response.writeContinue();
    const body = await readObject(request, { bounds, gone: connection.gone });
    // That a client has left is known only when all that it had sent is read.
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (connection.gone.aborted) throw new ClientGone();
    return body;
  };
  let answer: Answer;
  let drainMs = 0;
  try {
    const route = findRoute(request);
    answer = { status: 200, body: await route.run({ service, signal: connection.gone, readBody }) };
  } catch (error) {
    if (error instanceof ClientGone) return;
    const known = answerFor(error);
    if (!known) {
      const message = error instanceof Error ? error.message : String(error);
      log("error", `the API failed: ${message}`, { path: pathOf(request) });
    }
    answer = known ?? { status: 500, body: { detail: "internal error" } };
    // Whoever waits to be told to go on sends nothing, and whoever was too slow has had its time.
    if (expectation === undefined && answer.status !== 408) drainMs = bounds.bodyTimeoutMs;
  } finally {
    endTurn();
  }
  await send(request, response, answer, { close: connection.isRetired, drainMs });
}

function findRoute(request: IncomingMessage): Route {
  const { expect } = request.headers;
  if (expect !== undefined && expect.toLowerCase() !== "100-continue") {
    throw new HttpError(417, "only 100-continue can be expected");
  }
  const route = routes.get(pathOf(request));
  if (!route) throw new HttpError(404, "there is nothing at this path");
  if (route.method === request.method) return route;
  throw new HttpError(405, `only ${route.method} is answered here`, { allow: route.method });
}

function pathOf({ url = "" }: IncomingMessage): string {
  return url.split("?", 1)[0]!;
}
