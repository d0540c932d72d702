import { type Decky, type Lan, readTopology, type Topology } from "../../topology/document.ts";
import { versionHash } from "../../topology/hash.ts";
import { type Json, parseJson } from "../../topology/json.ts";
import {
  defaultPlanOptions,
  type Plan,
  type PlanOptions,
  planTopology,
} from "../../topology/plan.ts";
import { validateTopology } from "../../topology/validate.ts";

/**
 * Options for hosts whose engine is a stand-in: nothing is published, as an apply would look at the ports
 * of the machine that runs the tests.
 */
export const standInOptions: PlanOptions = { ...defaultPlanOptions, publish: null };

/** A LAN with another value here and there; the DMZ unless said otherwise. */
export function lan(name: string, values: Partial<Lan> = {}): Lan {
  return { name, subnet: "10.0.0.0/24", isDmz: true, ...values };
}

/** What is worth saying of a decky. */
export interface DeckyValues {
  services?: string[];
  /** LAN name → address. */
  addresses?: { readonly [lan: string]: string };
  /** Service name → image. */
  images?: { readonly [service: string]: string };
  /** Service name → its configuration. */
  configs?: { readonly [service: string]: { readonly [key: string]: Json } };
  forwardsL3?: boolean;
}

/** A decky; without services, and on no LAN unless said otherwise. */
export function decky(name: string, values: DeckyValues = {}): Decky {
  const { services = [], addresses = {}, images = {}, configs = {} } = values;
  return {
    name,
    services,
    addressByLan: new Map(Object.entries(addresses)),
    forwardsL3: values.forwardsL3 ?? false,
    configByService: new Map(Object.entries(configs)),
    imageByService: new Map(Object.entries(images)),
  };
}

/** A topology of these LANs and deckies. */
export function topology(values: Partial<Topology>): Topology {
  return { id: "7c9e6679", name: "sample", lans: [], deckies: [], ...values };
}

/** The problems of such a topology as text: `[CODE] message`. */
export function problemsOf(
  values: Partial<Topology>,
  options: Partial<PlanOptions> = {},
): string[] {
  return validateTopology(topology(values), { ...defaultPlanOptions, ...options });
}

const threeLansFile = new URL("../data/topology-three-lans.json", import.meta.url);
const idInFile = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
const networkInFile = "10.77";

/** A document that a master pushes, and what it becomes in Docker. */
export interface PushedDocument {
  /** The JSON as it is sent: numbers keep their tokens only in a text. */
  readonly text: string;
  readonly versionHash: string;
  readonly topology: Topology;
  readonly plan: Plan;
  /** The start of the names of all its networks and containers. */
  readonly prefix: string;
}

/** Loads the document of three LANs, with another id or other first two numbers of all addresses. */
export async function loadDocument(
  planOptions: PlanOptions,
  { id = idInFile, network = networkInFile }: { id?: string; network?: string } = {},
): Promise<PushedDocument> {
  const text = (await Deno.readTextFile(threeLansFile))
    .replaceAll(idInFile, id)
    .replaceAll(`"${networkInFile}.`, `"${network}.`);
  const topology = readTopology(parseJson(text));
  return {
    text,
    topology,
    versionHash: await versionHash(parseJson(text)),
    plan: await planTopology(topology, planOptions),
    prefix: `decnet_t_${id.slice(0, 8)}_`,
  };
}
