import type { ContainerItem, NetworkItem } from "./items.ts";
import { listContainers, listNetworks } from "./lists.ts";
import { failure, json, maximumApiMinor, plain, type Reply } from "./reply.ts";

/** What an engine has to list. */
export interface Stock {
  readonly networks: readonly NetworkItem[];
  readonly containers: readonly ContainerItem[];
}

interface Route {
  method: string;
  path: string;
  answer(stock: Stock, query: URLSearchParams): Reply;
}

const version = {
  Platform: { Name: "" },
  Components: [{
    Name: "Engine",
    Version: "20.10.24",
    Details: { ApiVersion: `1.${maximumApiMinor}`, MinAPIVersion: "1.12", Os: "linux" },
  }],
  Version: "20.10.24",
  ApiVersion: `1.${maximumApiMinor}`,
  MinAPIVersion: "1.12",
  GitCommit: "5d6db84",
  GoVersion: "go1.19.8",
  Os: "linux",
  Arch: "amd64",
  KernelVersion: "6.1.0",
  BuildTime: "2023-04-04T00:00:00.000000000+00:00",
};

/** The calls the engine knows; everything else is 404. */
const routes: Route[] = [
  { method: "GET", path: "/_ping", answer: () => plain("OK") },
  { method: "HEAD", path: "/_ping", answer: () => plain("") },
  { method: "GET", path: "/version", answer: () => json(200, version) },
  {
    method: "GET",
    path: "/networks",
    answer: ({ networks }, query) => listNetworks(networks, query),
  },
  {
    method: "GET",
    path: "/containers/json",
    answer: ({ containers }, query) => listContainers(containers, query),
  },
];

/** Answers a call as the real engine does, refusals included. */
export function answerCall(method: string, target: string, stock: Stock): Reply {
  const { minor, path } = splitVersion(target);
  const [bare = "", query = ""] = path.split("?");
  const route = routes.find((route) => route.method === method && route.path === bare);
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
  return route.answer(stock, new URLSearchParams(query));
}

/** Splits `/v1.41/networks` into its minor version, 0 when there is none, and `/networks`. */
export function splitVersion(target: string): { minor: number; path: string } {
  const match = target.match(/^\/v1\.(\d+)(\/.*)$/);
  return match ? { minor: Number(match[1]), path: match[2] ?? "" } : { minor: 0, path: target };
}
