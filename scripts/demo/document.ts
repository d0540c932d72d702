import { readTopology, type Topology } from "../../topology/document.ts";
import { versionHash } from "../../topology/hash.ts";
import { parseJson } from "../../topology/json.ts";
import { type ImageNames, type Plan, planTopology } from "../../topology/plan.ts";

const file = new URL("../../tests/data/topology-three-lans.json", import.meta.url);
const idInFile = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
const networkInFile = "10.77";

/** A document that the master pushes, and what it becomes in Docker. */
export interface PushedDocument {
  /** As it is sent: numbers keep their tokens only in a text. */
  readonly text: string;
  readonly versionHash: string;
  readonly topology: Topology;
  readonly plan: Plan;
  /** What the names of all its networks and containers begin with. */
  readonly prefix: string;
}

/** What is put in place of what the document says. */
interface DocumentChange {
  readonly id?: string;
  /** The first two numbers of all addresses. */
  readonly network?: string;
}

/** The document of three LANs, planned with these images. */
export async function loadDocument(
  images: ImageNames,
  { id = idInFile, network = networkInFile }: DocumentChange = {},
): Promise<PushedDocument> {
  const text = (await Deno.readTextFile(file))
    .replaceAll(idInFile, id)
    .replaceAll(`"${networkInFile}.`, `"${network}.`);
  const topology = readTopology(parseJson(text));
  return {
    text,
    topology,
    versionHash: await versionHash(parseJson(text)),
    plan: await planTopology(topology, images),
    prefix: `decnet_t_${id.slice(0, 8)}_`,
  };
}
