import type { Decky, Lan, Topology } from "../../topology/document.ts";
import { validateTopology } from "../../topology/validate.ts";

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
}

/** A decky; without services, and on no LAN unless said otherwise. */
export function decky(name: string, values: DeckyValues = {}): Decky {
  const { services = [], addresses = {}, images = {} } = values;
  return {
    name,
    services,
    addressByLan: new Map(Object.entries(addresses)),
    forwardsL3: false,
    imageByService: new Map(Object.entries(images)),
  };
}

/** A topology of these LANs and deckies. */
export function topology(values: Partial<Topology>): Topology {
  return { id: "7c9e6679", name: "sample", lans: [], deckies: [], ...values };
}

/** The problems of such a topology as text: `[CODE] message`. */
export function problemsOf(values: Partial<Topology>): string[] {
  return validateTopology(topology(values)).map(({ code, message }) => `[${code}] ${message}`);
}
