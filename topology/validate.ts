import {
  formatAddress,
  isOverlapping,
  parseAddress,
  parseCidr,
  type Subnet,
  subnetOf,
} from "./address.ts";
import { type Decky, isImageReference, type Lan, type Topology } from "./document.ts";
import { describe, excerpt, named, type Problem, problem, type Subject } from "./problem.ts";

/** What is wrong with a topology's id, if anything. */
export function checkId(id: string): Problem[] {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(id)) return [];
  const subject = { what: `topology ${excerpt(id)}`, place: "topology.id" };
  return [problem("ID_MALFORMED", subject, `an id must ${nameRule(64)}`)];
}

/**
 * What is wrong with a name that becomes part of a Docker name, if anything. Docker takes no other
 * characters, and Linux no longer host name, which is what a decky's name becomes.
 */
export function checkName(name: string, subject: Subject): Problem[] {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(name)) return [];
  return [problem("NAME_MALFORMED", subject, `a name must ${nameRule(63)}`)];
}

/** What is wrong with a Docker image reference, if anything. */
export function checkImage(image: string, subject: Subject): Problem[] {
  if (isImageReference(image)) return [];
  return [problem("NAME_MALFORMED", subject, `${excerpt(image)} is no Docker image reference`)];
}

function nameRule(length: number): string {
  return `be at most ${length} letters (A-Z, a-z), digits, "_", "." and "-", and begin with a letter ` +
    "or digit";
}

const maximumNamed = 10;

/** Checks that there is one DMZ, and that every LAN has a path to it over deckies on several LANs. */
export function checkDmz({ id, lans, deckies }: Topology): Problem[] {
  if (lans.length === 0 && deckies.length === 0) return [];
  const topology = { what: `topology ${excerpt(id)}`, place: "lans" };
  const dmzs = lans.flatMap((lan, index) => lan.isDmz ? [{ name: lan.name, index }] : []);
  if (dmzs.length === 0) return [problem("DMZ_MISSING", topology, "no LAN has is_dmz")];

  const problems: Problem[] = [];
  if (dmzs.length > 1) {
    const listed = dmzs.slice(0, maximumNamed).map(({ name, index }) =>
      describe(named(name, `lans[${index}]`))
    );
    if (dmzs.length > maximumNamed) listed.push(`${dmzs.length - maximumNamed} more`);
    const fault = `only one LAN may have is_dmz, but ${listed.join(", ")} have it`;
    problems.push(problem("DMZ_MULTIPLE", topology, fault));
  }
  const reached = reachableLans(lans, deckies);
  for (const [index, { name }] of lans.entries()) {
    if (reached.has(name)) continue;
    const subject = named(name, `lans[${index}]`);
    const fault = "no deckies on several LANs make a path from it to the DMZ";
    problems.push(problem("DMZ_ORPHAN", subject, fault));
  }
  return problems;
}

/** The names of the LANs that can be reached from a DMZ, the DMZs among them. */
function reachableLans(lans: readonly Lan[], deckies: readonly Decky[]): Set<string> {
  const deckiesByLan = new Map<string, Set<Decky>>(lans.map(({ name }) => [name, new Set()]));
  for (const decky of deckies) {
    for (const lan of decky.addressByLan.keys()) deckiesByLan.get(lan)?.add(decky);
  }
  const reached = new Set(lans.filter(({ isDmz }) => isDmz).map(({ name }) => name));
  const passed = new Set<Decky>();
  // A set also visits what is added while it is being visited.
  for (const lan of reached) {
    for (const decky of deckiesByLan.get(lan) ?? []) {
      if (passed.has(decky)) continue;
      passed.add(decky);
      for (const neighbour of decky.addressByLan.keys()) reached.add(neighbour);
    }
  }
  return reached;
}

/** Ranges that a bridge of Docker cannot have, or that would harm the host. */
const reservedRanges = [
  ["0.0.0.0/8", "which no host can have"],
  ["127.0.0.0/8", "the host's own loopback"],
  ["169.254.0.0/16", "link-local, where a cloud has its metadata"],
  ["224.0.0.0/3", "multicast and reserved"],
].map(([cidr = "", use = ""]) => ({ cidr, use, range: subnetOf(parseCidr(cidr)!) }));

/** Checks the LANs' names and subnets, and each against the others. */
export function checkLans(lans: readonly Lan[]): Problem[] {
  const subnets = lans.map(({ subnet }) => readLanSubnet(subnet));
  const overlaps = findOverlaps(subnets);
  const firstByDockerName = new Map<string, number>();
  const subject = (index: number, field: string): Subject => {
    return named(lans[index]!.name, `lans[${index}].${field}`);
  };
  return lans.flatMap(({ name }, index) => {
    const problems = checkName(name, subject(index, "name"));
    const dockerName = name.toLowerCase();
    const first = firstByDockerName.get(dockerName);
    if (first === undefined) {
      firstByDockerName.set(dockerName, index);
    } else {
      const other = describe(subject(first, "name"));
      const fault = `${other} has this name already; case does not count`;
      problems.push(problem("LAN_NAME_DUP", subject(index, "name"), fault));
    }
    const subnet = subnets[index]!;
    if (typeof subnet === "string") {
      problems.push(problem("SUBNET_MALFORMED", subject(index, "subnet"), subnet));
    }
    const other = overlaps.get(index);
    if (other !== undefined) {
      const fault = `${lans[index]!.subnet} overlaps ${lans[other]!.subnet} of ` +
        describe(subject(other, "subnet"));
      problems.push(problem("SUBNET_OVERLAP", subject(index, "subnet"), fault));
    }
    return problems;
  });
}

/** A LAN's subnet, or in words why no LAN can have it. */
export function readLanSubnet(text: string): Subnet | string {
  const shown = excerpt(text);
  const cidr = parseCidr(text);
  if (cidr === null) return `${shown} is no IPv4 subnet such as 10.0.0.0/24`;
  const subnet = subnetOf(cidr);
  if (cidr.address !== subnet.first) {
    const meant = `${formatAddress(subnet.first)}/${cidr.prefixLength}`;
    return `${shown} has bits set behind its prefix; the subnet would be ${meant}`;
  }
  if (cidr.prefixLength < 8) {
    return `${shown} is larger than a /8, too much of what the host may reach`;
  }
  if (cidr.prefixLength > 30) {
    return `${shown} is smaller than a /30, too small for a gateway and a container`;
  }
  const reserved = reservedRanges.find(({ range }) => isOverlapping(range, subnet));
  return reserved ? `${shown} overlaps ${reserved.cidr}, ${reserved.use}` : subnet;
}

/** For each LAN whose subnet overlaps another's, by index, one such other; at most one each. */
function findOverlaps(subnets: readonly (Subnet | string)[]): Map<number, number> {
  const sorted = subnets
    .flatMap((subnet, index) => typeof subnet === "string" ? [] : [{ subnet, index }])
    .sort((a, b) => a.subnet.first - b.subnet.first || b.subnet.last - a.subnet.last);
  const overlaps = new Map<number, number>();
  let widest = sorted[0];
  for (const lan of sorted.slice(1)) {
    // Subnets lie apart or one within the other: what overlaps any earlier one overlaps the widest.
    if (widest && isOverlapping(widest.subnet, lan.subnet)) overlaps.set(lan.index, widest.index);
    else widest = lan;
  }
  return overlaps;
}

interface KnownLan {
  readonly lan: Lan;
  /** Null when the LAN's subnet is itself a problem. */
  readonly subnet: Subnet | null;
  readonly ownerByAddress: Map<number, Subject>;
}

/** The addresses of the LANs, each with the first decky to have it. */
class LanAddresses {
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

/** Of a decky and a service, both as long as can be. */
const maximumLength = 63 + 1 + 63;

interface Container {
  readonly subject: Subject;
  readonly decky: Decky;
  /** Undefined for the decky's base container. */
  readonly service: string | undefined;
}

/** The names that containers get, `<decky>` and `<decky>-<service>`, each with the first to get it. */
class ContainerNames {
  readonly #firstByName = new Map<string, Container>();

  /** Takes the names of a decky's containers; a problem for each that is taken already. */
  take(decky: Decky, index: number): Problem[] {
    const place = `deckies[${index}]`;
    const base = {
      subject: named(decky.name, `${place}.name`),
      decky,
      service: undefined,
    };
    const services = decky.services.map((service, at) => ({
      subject: serviceSubject(decky, service, { place: `${place}.services[${at}]` }),
      decky,
      service,
    }));
    const ownByName = new Map<string, Container>();
    return [base, ...services].flatMap((container) => this.#take(container, ownByName));
  }

  #take(container: Container, ownByName: Map<string, Container>): Problem[] {
    const { decky, service, subject } = container;
    const name = service === undefined ? decky.name : `${decky.name}-${service}`;
    // Longer ones are malformed, and thousands that begin with one huge name take too long to compare.
    if (name.length > maximumLength) return [];
    const first = ownByName.get(name) ?? this.#firstByName.get(name);
    if (!ownByName.has(name)) ownByName.set(name, container);
    if (!first) {
      this.#firstByName.set(name, container);
      return [];
    }
    const isTwin = first.decky !== decky && first.decky.name === decky.name;
    // Two deckies of one name are one problem, not one more for each service that both have.
    if (isTwin && service !== undefined && first.service === service) return [];
    const fault = `its container ${excerpt(name)} has the same name as that of ` +
      describe(first.subject);
    return [problem("DECKY_NAME_DUP", subject, fault)];
  }
}

/** A decky's service as the subject of a problem. */
function serviceSubject(
  decky: Decky,
  service: string,
  { place }: { place: string },
): Subject {
  return { what: `service ${excerpt(service)} of ${excerpt(decky.name)}`, place };
}

/** Checks the deckies' names, services, images and addresses, and each against the others. */
export function checkDeckies({ lans, deckies }: Topology): Problem[] {
  const containerNames = new ContainerNames();
  const lanAddresses = new LanAddresses(lans);
  return deckies.flatMap((decky, index) => [
    ...checkNames(decky, index),
    ...containerNames.take(decky, index),
    ...lanAddresses.take(decky, index),
    ...checkImages(decky, index),
  ]);
}

function checkNames(decky: Decky, index: number): Problem[] {
  return [
    ...checkName(decky.name, named(decky.name, `deckies[${index}].name`)),
    ...decky.services.flatMap((service, at) => {
      const place = `deckies[${index}].services[${at}]`;
      return checkName(service, serviceSubject(decky, service, { place }));
    }),
  ];
}

function checkImages(decky: Decky, index: number): Problem[] {
  // The image of a service that the decky does not have is never used, so it is never wrong.
  return [...new Set(decky.services)].flatMap((service) => {
    const image = decky.imageByService.get(service);
    if (image === undefined) return [];
    const place = `deckies[${index}].decky_config.service_config.${excerpt(service)}.image`;
    return checkImage(image, serviceSubject(decky, service, { place }));
  });
}

const maximumLans = 1000;
const maximumContainers = 10_000;
const maximumAddresses = 100_000;

/**
 * Everything that keeps a topology from being applied; empty when nothing does. The codes and rules are
 * in docs/topology.md. A topology that is too large is checked no further.
 */
export function validateTopology(topology: Topology): Problem[] {
  const tooLarge = checkSize(topology);
  if (tooLarge.length > 0) return tooLarge;
  return [
    ...checkId(topology.id),
    ...checkDmz(topology),
    ...checkLans(topology.lans),
    ...checkDeckies(topology),
  ];
}

function checkSize({ id, lans, deckies }: Topology): Problem[] {
  const containers = deckies.reduce((sum, { services }) => sum + 1 + services.length, 0);
  const addresses = deckies.reduce((sum, { addressByLan }) => sum + addressByLan.size, 0);
  const sizes = [
    { place: "lans", count: lans.length, maximum: maximumLans, what: "LANs" },
    {
      place: "deckies",
      count: containers,
      maximum: maximumContainers,
      what: "deckies and services",
    },
    { place: "deckies", count: addresses, maximum: maximumAddresses, what: "addresses" },
  ];
  return sizes.filter(({ count, maximum }) => count > maximum).map((
    { place, count, maximum, what },
  ) =>
    problem(
      "TOO_LARGE",
      { what: `topology ${excerpt(id)}`, place },
      `it has ${count} ${what}; at most ${maximum} are taken`,
    )
  );
}
