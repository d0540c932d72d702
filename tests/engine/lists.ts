import type { Images } from "./images.ts";
import { type ContainerItem, containerStates, type NetworkItem } from "./items.ts";
import { failure, json, type Reply } from "./reply.ts";

/** Answers `GET /networks`. */
export function listNetworks(items: readonly NetworkItem[], query: URLSearchParams): Reply {
  const filters = parseFilters(query, ["name", "label", "driver"]);
  if (!(filters instanceof Map)) return filters;
  return json(
    200,
    items.filter((item) =>
      matchesName(filters, [item.Name]) && matchesLabels(filters, item.Labels) &&
      (filters.get("driver")?.includes(item.Driver) ?? true)
    ),
  );
}

/** Answers `GET /containers/json`. */
export function listContainers(
  items: readonly ContainerItem[],
  query: URLSearchParams,
  images: Images,
): Reply {
  const filters = parseFilters(query, ["name", "label", "status"]);
  if (!(filters instanceof Map)) return filters;
  const states = filters.get("status");
  const unknown = states?.find((state) => !(containerStates as readonly string[]).includes(state));
  if (unknown !== undefined) return failure(400, `Invalid filter 'status=${unknown}'`);
  const limit = Number(query.get("limit") ?? 0);
  const all = isTrue(query.get("all")) || limit > 0;
  const wanted: readonly string[] = states ??
    (all ? containerStates : ["running", "paused", "restarting"]);
  return json(
    200,
    items.filter((item) =>
      wanted.includes(item.State) && matchesLabels(filters, item.Labels) &&
      matchesName(filters, item.Names.flatMap((name) => [name, name.slice(1)]))
    ).slice(0, limit > 0 ? limit : undefined).map((item) => ({
      ...item,
      Image: images.listedName(item.Image, item.ImageID),
    })),
  );
}

/** Whether a switch in the query is on. */
export function isTrue(value: string | null): boolean {
  return !["", "0", "no", "false", "none"].includes((value ?? "").toLowerCase());
}

/** The filters by name, empty ones left out; or the refusal of what is no filter of this list. */
function parseFilters(query: URLSearchParams, known: string[]): Map<string, string[]> | Reply {
  let parsed: Record<string, string[] | Record<string, boolean>>;
  try {
    parsed = JSON.parse(query.get("filters") || "{}");
  } catch {
    return failure(400, "invalid character in filters");
  }
  const filters = new Map<string, string[]>();
  for (const [name, given] of Object.entries(parsed)) {
    if (!known.includes(name)) return failure(400, `Invalid filter '${name}'`);
    const values = Array.isArray(given) ? given : Object.keys(given);
    if (values.length > 0) filters.set(name, values);
  }
  return filters;
}

/** As the engine has it: each value is a regular expression, found anywhere; one has to match. */
function matchesName(filters: Map<string, string[]>, names: string[]): boolean {
  const patterns = filters.get("name");
  if (!patterns) return true;
  try {
    return patterns.some((pattern) => names.some((name) => new RegExp(pattern).test(name)));
  } catch {
    return false;
  }
}

/** Each value is `key` or `key=value`; all have to match. */
function matchesLabels(filters: Map<string, string[]>, labels: Record<string, string>): boolean {
  return (filters.get("label") ?? []).every((wanted) => {
    const [key = "", ...value] = wanted.split("=");
    return Object.hasOwn(labels, key) && (value.length === 0 || labels[key] === value.join("="));
  });
}
