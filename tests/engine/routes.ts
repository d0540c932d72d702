import { readContainer, readMembership, readNetwork, type SentBody } from "./bodies.ts";
import { createContainer, removeContainer, rename } from "./containers.ts";
import { kill, pause, restart, start, stop, unpause } from "./lifecycle.ts";
import { isTrue, listContainers, listNetworks } from "./lists.ts";
import { connect, createNetwork, disconnect, removeNetwork } from "./networks.ts";
import { Refusal } from "./refusal.ts";
import { empty, failure, json, maximumApiMinor, plain, type Reply } from "./reply.ts";
import type { EngineState } from "./state.ts";
import { version } from "./version.ts";

/** One call, taken apart. */
interface Call {
  readonly state: EngineState;
  /** What stands in the path where the route has `{id}`. */
  readonly id: string;
  readonly query: URLSearchParams;
  readonly body: SentBody;
}

interface Route {
  readonly method: string;
  readonly path: RegExp;
  readonly answer: (call: Call) => Reply;
}

/** The calls the engine knows; everything else is 404. */
const routes: Route[] = [
  route("GET", "/_ping", () => plain("OK")),
  route("HEAD", "/_ping", () => plain("")),
  route("GET", "/version", () => json(200, version)),
  route("GET", "/networks", ({ state, query }) => listNetworks(state.networks, query)),
  route("POST", "/networks/create", ({ state, body }) => {
    return json(201, createNetwork(state, readNetwork(body)));
  }),
  route("POST", "/networks/{id}/connect", ({ state, id, body }) => {
    connect(state, id, readMembership(body));
    return empty(200);
  }),
  route("POST", "/networks/{id}/disconnect", ({ state, id, body }) => {
    disconnect(state, id, readMembership(body));
    return empty(200);
  }),
  route("DELETE", "/networks/{id}", ({ state, id }) => {
    removeNetwork(state, id);
    return empty(204);
  }),
  route("GET", "/containers/json", ({ state, query }) => {
    return listContainers(state.containers, query, state.images);
  }),
  route("POST", "/containers/create", ({ state, query, body }) => {
    return json(201, createContainer(state, query.get("name") ?? "", readContainer(body)));
  }),
  ...Object.entries({ start, stop, restart, pause, unpause, kill }).map(([name, act]) =>
    route("POST", `/containers/{id}/${name}`, ({ state, id }) => empty(act(state, id)))
  ),
  route("POST", "/containers/{id}/rename", ({ state, id, query }) => {
    rename(state, id, query.get("name") ?? "");
    return empty(204);
  }),
  route("DELETE", "/containers/{id}", ({ state, id, query }) => {
    removeContainer(state, id, isTrue(query.get("force")));
    return empty(204);
  }),
  route("GET", "/images/{id}/json", ({ state, id }) => inspectImage(state, id)),
];

/** Answers a call as the real engine does, refusals included. */
export function answerCall(
  method: string,
  target: string,
  { state, body = { text: "", type: "" } }: { state: EngineState; body?: SentBody },
): Reply {
  const { minor, path } = splitVersion(target);
  const [bare = "", query = ""] = path.split("?");
  const route = routes.find((route) => route.method === method && route.path.test(bare));
  if (!route) {
    const reply = json(404, { message: "page not found" });
    return { ...reply, headers: { "Content-Type": "application/json" } };
  }
  if (minor > maximumApiMinor) {
    return failure(
      400,
      `client version 1.${minor} is too new. ` +
        `Maximum supported API version is 1.${maximumApiMinor}`,
    );
  }
  const id = decodeURIComponent(route.path.exec(bare)?.[1] ?? "");
  try {
    return route.answer({ state, id, query: new URLSearchParams(query), body });
  } catch (error) {
    if (error instanceof Refusal) return failure(error.status, error.message);
    throw error;
  }
}

/** Splits `/v1.41/networks` into its minor version, 0 when there is none, and `/networks`. */
export function splitVersion(target: string): { minor: number; path: string } {
  const match = target.match(/^\/v1\.(\d+)(\/.*)$/);
  return match ? { minor: Number(match[1]), path: match[2] ?? "" } : { minor: 0, path: target };
}

/** An image's name may have slashes in it, which clients may or may not escape. */
function route(method: string, path: string, answer: Route["answer"]): Route {
  const id = path.startsWith("/images/") ? "(.+)" : "([^/]+)";
  return { method, path: new RegExp(`^${path.replace("{id}", id)}$`), answer };
}

function inspectImage(state: EngineState, name: string): Reply {
  try {
    const { id, tags } = state.images.find(name);
    return json(200, { Id: id, RepoTags: tags, RepoDigests: [], Os: "linux" });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new Refusal(error.status, `no such image: ${name}: ${error.message}`);
  }
}
