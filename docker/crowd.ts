import { type ContainerFact, topologyLabel } from "../topology/mod.ts";
import type { EngineRequest } from "./connection.ts";

/** All containers. */
export const containersCall = { method: "GET", path: "/containers/json?all=1" } as const;
/** How many containers are asked for where it is not known that there are more. */
export const fewContainers = 500;
/** The newest of all containers, running or not; all of them, where there are fewer. */
export const fewContainersCall = {
  method: "GET",
  path: `${containersCall.path}&limit=${fewContainers}`,
} as const;
/** For how many observations a host counts as crowded before it is looked at afresh. */
const observations = 100;

/**
 * How to ask a host with many containers for them. Shared by observations that follow one another, so
 * that few of them have to find it out.
 */
export class Crowd {
  #calls: readonly EngineRequest[] | null = null;
  #left = 0;

  /** The calls for this observation; null where the host is not known to be crowded. */
  next(): readonly EngineRequest[] | null {
    return this.#left-- > 0 ? this.#calls : null;
  }

  /** The calls for a host with many containers, for this observation and those to come. */
  find({ areMostOurs, prefixes }: {
    readonly areMostOurs: boolean;
    readonly prefixes: readonly string[];
  }): readonly EngineRequest[] {
    this.#left = observations;
    return this.#calls = (areMostOurs ? null : callsForOurs(prefixes)) ?? [containersCall];
  }
}

/**
 * The calls whose answers together hold every container that is ours and hardly another. The engine
 * has no filter for "this name or that label", so there is one for each. Null where they could miss
 * one: a dead container may have lost its name, and goes by its id, which has no filter like that.
 */
export function callsForOurs(prefixes: readonly string[]): EngineRequest[] | null {
  if (prefixes.some((prefix) => /^[0-9a-f]{0,12}$/.test(prefix))) return null;
  const calls = [filtered({ label: [topologyLabel] })];
  if (prefixes.length > 0) {
    // Docker looks for the expression in names with their slash, Podman in names without.
    const starts = prefixes.map((prefix) => prefix.replace(/\W/g, "\\$&")).join("|");
    calls.unshift(filtered({ name: [`^/?(?:${starts})`] }));
  }
  return calls;
}

/** What several lists hold together; of what is in two of them the first counts. */
export function union(lists: readonly ContainerFact[][]): ContainerFact[] {
  const [first = [], ...others] = lists;
  if (others.length === 0) return first;
  const seen = new Set(first.map(({ id }) => id));
  return [...first, ...others.flat().filter(({ id }) => !seen.has(id))];
}

function filtered(filters: Readonly<Record<string, readonly string[]>>): EngineRequest {
  const query = encodeURIComponent(JSON.stringify(filters));
  return { method: "GET", path: `${containersCall.path}&filters=${query}` };
}
