import type { ContainerFact, NetworkFact } from "../topology/mod.ts";
import type { EngineConnection, EngineRequest } from "./connection.ts";
import { type Crowd, fewContainers, fewContainersCall, union } from "./crowd.ts";
import { parseAnswer } from "./failure.ts";
import { readContainers, readNetworks } from "./lists.ts";
import { oursOf, type Prefixes } from "./ours.ts";
import type { EngineResponse } from "./response_reader.ts";

/** All networks. */
export const networksCall = { method: "GET", path: "/networks" } as const;

/** What the engine has answered. */
export interface Answers {
  readonly networks: NetworkFact[];
  /** All that are ours, and others. */
  readonly containers: ContainerFact[];
  /** Of the first answer. */
  readonly headers: EngineResponse["headers"];
}

/** How to ask. */
export interface AskOptions extends Prefixes {
  readonly crowd: Crowd;
  /** Called when the time of another call begins. */
  readonly onCall: () => void;
  /** Called when the engine has been asked, and has not answered yet. */
  readonly onAsked: () => void;
}

/**
 * Asks for the networks and the containers. Of a host with many containers it asks once more: for ours
 * alone where most of them are foreign, else for all.
 */
export async function ask(connection: EngineConnection, options: AskOptions): Promise<Answers> {
  const { crowd, onCall, onAsked, containerPrefixes: prefixes } = options;
  const known = crowd.next();
  const receive = async (calls: readonly EngineRequest[]) => {
    const lists: ContainerFact[][] = [];
    for (const _ of calls) {
      onCall();
      const answer = await connection.receive();
      lists.push(readContainers(parseAnswer(answer, "GET /containers/json")));
    }
    return union(lists);
  };
  const calls = known ?? [fewContainersCall];
  await connection.send([networksCall, ...calls]);
  onAsked();
  const answer = await connection.receive();
  const { headers } = answer;
  const networks = readNetworks(parseAnswer(answer, "GET /networks"));
  const containers = await receive(calls);
  // An engine that takes no limit has listed them all, and may well have more.
  if (known || containers.length !== fewContainers) return { networks, containers, headers };
  const ours = oursOf({ networks: [], containers }, options).containers.length;
  const more = crowd.find({ areMostOurs: 2 * ours > containers.length, prefixes });
  await connection.send(more);
  return { networks, containers: await receive(more), headers };
}
