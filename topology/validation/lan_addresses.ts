import { parseAddress, type Subnet } from "../address.ts";
import type { Decky, Lan } from "../document.ts";
import { readLanSubnet } from "./lan_checks.ts";
import { describe, excerpt, named, type Problem, problem, type Subject } from "./problem.ts";

interface KnownLan {
  readonly lan: Lan;
  /** Null when the LAN's subnet is itself a problem. */
  readonly subnet: Subnet | null;
  readonly ownerByAddress: Map<number, Subject>;
}

/** The addresses of the LANs, each with the first decky to have it. */
export class LanAddresses {
  readonly #lanByName = new Map<string, KnownLan>();
  readonly #nameByLowerCase = new Map<string, string>();

  constructor(lans: readonly Lan[]) {
    for (const lan of lans) {
      if (this.#lanByName.has(lan.name)) continue;
      const subnet = readLanSubnet(lan.subnet);
      this.#lanByName.set(lan.name, {
        lan,
        subnet: typeof subnet === "string" ? null : subnet,
        ownerByAddress: new Map(),
      });
      this.#nameByLowerCase.set(lan.name.toLowerCase(), lan.name);
    }
  }

  /** Takes a decky's addresses; a problem for each that is malformed, taken, or not on its LAN. */
  take({ name, addressByLan }: Decky, index: number): Problem[] {
    const place = `deckies[${index}].decky_config.ips_by_lan`;
    if (addressByLan.size === 0) {
      return [problem("DECKY_ORPHAN", named(name, place), "the decky is on no LAN")];
    }
    return [...addressByLan].flatMap(([lanName, text]) => {
      const subject = named(name, `${place}.${excerpt(lanName)}`);
      const lan = this.#lanByName.get(lanName);
      const problems = lan ? [] : [this.#unknownLan(lanName, subject)];
      const address = parseAddress(text);
      if (address === null) {
        const fault = `${excerpt(text)} is no IPv4 address such as 10.0.0.2`;
        problems.push(problem("IP_MALFORMED", subject, fault));
      } else if (lan) {
        problems.push(...takeAddress(address, lan, { text, subject }));
      }
      return problems;
    });
  }

  #unknownLan(name: string, subject: Subject): Problem {
    const similar = this.#nameByLowerCase.get(name.toLowerCase());
    const hint = similar === undefined ? "" : `; case counts, ${excerpt(similar)} is one`;
    return problem("IP_UNKNOWN_LAN", subject, `${excerpt(name)} is no LAN of the document${hint}`);
  }
}

function takeAddress(
  address: number,
  { lan, subnet, ownerByAddress }: KnownLan,
  { text, subject }: { text: string; subject: Subject },
): Problem[] {
  const outside = (fault: string) => [problem("IP_OUT_OF_SUBNET", subject, `${text} ${fault}`)];
  const taken = (fault: string) => [problem("IP_COLLISION", subject, `${text} ${fault}`)];
  if (subnet) {
    if (address < subnet.first || address > subnet.last) return outside(`is not in ${lan.subnet}`);
    if (address === subnet.first) return outside(`is the network address of ${lan.subnet}`);
    if (address === subnet.last) return outside(`is the broadcast address of ${lan.subnet}`);
    // Docker's choice when it is told no gateway, also on an internal network.
    if (address === subnet.first + 1) {
      return taken(`is what Docker gives to the gateway of ${lan.subnet}`);
    }
  }
  const owner = ownerByAddress.get(address);
  if (owner) return taken(`is also the address of ${describe(owner)}`);
  ownerByAddress.set(address, subject);
  return [];
}
