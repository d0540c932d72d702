import { type Json, parseJson } from "../../topology/mod.ts";
import { withPassword } from "../secrets.ts";
import type { Playground } from "./playground.ts";

/** What a document says, as far as it matters here. */
export interface Sample {
  /** Instead of the host's own. */
  readonly id?: string;
  /** LAN name → number of its subnet; the first one is the DMZ. */
  readonly lans: Readonly<Record<string, number>>;
  readonly deckies: Readonly<Record<string, SampleDecky>>;
}

/** A decky of a document. */
export interface SampleDecky {
  /** LAN name → number of the host in its subnet. */
  readonly on: Readonly<Record<string, number>>;
  readonly services?: readonly string[];
  /** Service name → image. */
  readonly images?: Readonly<Record<string, string>>;
  readonly forwards?: boolean;
}

/** The document that says so, on subnets of the playground's own. */
export function documentOf(
  { id, lans, deckies }: Sample & { id: string },
  playground: Playground,
): Json {
  return parseJson(withPassword(JSON.stringify({
    topology: { id, name: "sample", needs_resync: false },
    lans: Object.entries(lans).map(([name, number], index) => ({
      id: name,
      name,
      subnet: playground.subnet(number),
      is_dmz: index === 0,
    })),
    deckies: Object.entries(deckies).map(([name, decky]) => ({
      uuid: name,
      name,
      services: decky.services ?? [],
      decky_config: {
        name,
        ips_by_lan: Object.fromEntries(
          Object.entries(decky.on).map(([lan, host]) => [
            lan,
            playground.address(lans[lan]!, host),
          ]),
        ),
        forwards_l3: decky.forwards ?? false,
        service_config: Object.fromEntries(
          Object.entries(decky.images ?? {}).map(([service, image]) => [service, { image }]),
        ),
      },
    })),
    edges: [],
    // Kept and ignored, as all that is unknown.
    planted: { service_config: {} },
  })));
}

/** Whether it is not a document yet. */
export function isSample(value: Sample | Json): value is Sample {
  return typeof value === "object" && value !== null && "lans" in value &&
    !Array.isArray(value.lans);
}
