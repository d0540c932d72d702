import {
  contains,
  formatAddress,
  overlaps,
  parseAddress,
  parseCidr,
  rangeOf,
  type Subnet,
  subnetOf,
} from "./address.ts";
import { type Decky, isImageReference, type Lan, type Topology } from "./document.ts";
import { type ImageNames, type PlanOptions, serviceImage } from "./plan.ts";
import { describe, excerpt, named, type Problem, problem, type Subject } from "./problem.ts";
import {
  type Port,
  publishedPorts,
  resolveEnvironment,
  type ServiceCatalogue,
} from "./services.ts";

const maximumLans = 1000;
const maximumContainers = 10_000;
const maximumAddresses = 100_000;
/** The ports of a Linux bridge. */
const maximumDeckiesOnLan = 1_023;

/** Finds all problems that prevent an apply (docs/topology.md); only `TOO_LARGE` if it is that. */
export function validateTopology(
  topology: Topology,
  { images, services, publish }: Pick<PlanOptions, "images" | "services" | "publish">,
): Problem[] {
  const tooLarge = checkSize(topology);
  if (tooLarge.length > 0) return tooLarge;
  return [
    ...checkId(topology.id),
    ...checkDmz(topology),
    ...checkLans(topology.lans),
    ...checkDeckies(topology, images),
    ...topology.deckies.flatMap((decky, index) => checkConfigs(decky, index, services)),
    ...(publish === null ? [] : checkPorts(topology, services)),
  ];
}

function checkSize({ id, lans, deckies }: Topology): Problem[] {
  const containers = deckies.reduce((sum, { services }) => sum + 1 + services.length, 0);
  const addresses = deckies.reduce((sum, { addressByLan }) => sum + addressByLan.size, 0);
  const sizes: [place: string, count: number, maximum: number, what: string][] = [
    ["lans", lans.length, maximumLans, "LANs"],
    ["deckies", containers, maximumContainers, "deckies and services"],
    ["deckies", addresses, maximumAddresses, "addresses"],
  ];
  const tooMany = sizes.filter(([, count, maximum]) => count > maximum);
  if (tooMany.length === 0) return checkBridges(lans, deckies);
  return tooMany.map(([place, count, maximum, what]) => {
    const subject = { what: `topology ${excerpt(id)}`, place };
    return problem("TOO_LARGE", subject, `it has ${count} ${what}; at most ${maximum} are taken`);
  });
}

/** Checks that each LAN's bridge has a port for each of its deckies. */
function checkBridges(lans: readonly Lan[], deckies: readonly Decky[]): Problem[] {
  const countByLan = new Map<string, number>();
  for (const lan of deckies.flatMap(({ addressByLan }) => [...addressByLan.keys()])) {
    countByLan.set(lan, (countByLan.get(lan) ?? 0) + 1);
  }
  return lans.flatMap(({ name }, index) => {
    const count = countByLan.get(name) ?? 0;
    if (count <= maximumDeckiesOnLan) return [];
    const fault = `${count} deckies are on it; a bridge takes at most ${maximumDeckiesOnLan}`;
    return [problem("TOO_LARGE", named(name, `lans[${index}]`), fault)];
  });
}

/** Checks a topology's id. */
export function checkId(id: string): Problem[] {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(id)) return [];
  const subject = { what: `topology ${excerpt(id)}`, place: "topology.id" };
  return [problem("ID_MALFORMED", subject, `an id must ${nameRule(64)}`)];
}

/** Checks a name: Docker limits its characters; a decky's is a host name, which limits its length. */
export function checkName(name: string, subject: Subject): Problem[] {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(name)) return [];
  return [problem("NAME_MALFORMED", subject, `a name must ${nameRule(63)}`)];
}

function nameRule(length: number): string {
  return `be at most ${length} letters (A-Z, a-z), digits, "_", "." and "-", and begin with a letter ` +
    "or digit";
}

/** Limit for DMZs named in a message. */
const maximumNamed = 10;

/** Checks that there is one DMZ, and that deckies on several LANs connect every LAN to it. */
export function checkDmz({ id, lans, deckies }: Topology): Problem[] {
  if (lans.length === 0 && deckies.length === 0) return [];
  const topology = { what: `topology ${excerpt(id)}`, place: "lans" };
  const subjects = lans.map(({ name }, index) => named(name, `lans[${index}]`));
  const dmzs = subjects.filter((_, index) => lans[index]!.isDmz);
  if (dmzs.length === 0) return [problem("DMZ_MISSING", topology, "no LAN has is_dmz")];

  const problems: Problem[] = [];
  if (dmzs.length > 1) {
    const listed = dmzs.slice(0, maximumNamed).map(describe);
    if (dmzs.length > maximumNamed) listed.push(`${dmzs.length - maximumNamed} more`);
    const fault = `only one LAN may have is_dmz, but ${listed.join(", ")} have it`;
    problems.push(problem("DMZ_MULTIPLE", topology, fault));
  }
  const reached = findReachableLans(lans, deckies);
  const fault = "no deckies on several LANs make a path from it to the DMZ";
  for (const [index, subject] of subjects.entries()) {
    if (reached.has(lans[index]!.name)) continue;
    problems.push(problem("DMZ_ORPHAN", subject, fault));
  }
  return problems;
}

/** Finds the names of the LANs that can be reached from a DMZ, including the DMZs. */
function findReachableLans(lans: readonly Lan[], deckies: readonly Decky[]): Set<string> {
  const deckiesByLan = new Map<string, Set<Decky>>(lans.map(({ name }) => [name, new Set()]));
  for (const decky of deckies) {
    for (const lan of decky.addressByLan.keys()) deckiesByLan.get(lan)?.add(decky);
  }
  const reached = new Set(lans.filter(({ isDmz }) => isDmz).map(({ name }) => name));
  const passed = new Set<Decky>();
  // The loop also visits names that it adds to the set.
  for (const lan of reached) {
    for (const decky of deckiesByLan.get(lan) ?? []) {
      if (passed.has(decky)) continue;
      passed.add(decky);
      for (const neighbour of decky.addressByLan.keys()) reached.add(neighbour);
    }
  }
  return reached;
}

/** Checks the names and subnets of LANs, also for conflicts. */
export function checkLans(lans: readonly Lan[]): Problem[] {
  const subnets = lans.map(({ subnet }) => readLanSubnet(subnet));
  const overlapping = findOverlaps(subnets);
  const indexByDockerName = new Map<string, number>();
  const subjectOf = (index: number, field: keyof Lan) =>
    named(lans[index]!.name, `lans[${index}].${field}`);
  return lans.flatMap(({ name, subnet }, index) => {
    const [nameSubject, subnetSubject] = [subjectOf(index, "name"), subjectOf(index, "subnet")];
    const problems = checkName(name, nameSubject);
    const namesake = indexByDockerName.get(name.toLowerCase());
    if (namesake === undefined) {
      indexByDockerName.set(name.toLowerCase(), index);
    } else {
      const other = describe(subjectOf(namesake, "name"));
      const fault = `${other} has this name already; case does not count`;
      problems.push(problem("LAN_NAME_DUP", nameSubject, fault));
    }
    const read = subnets[index]!;
    if (typeof read === "string") problems.push(problem("SUBNET_MALFORMED", subnetSubject, read));
    const other = overlapping.get(index);
    if (other !== undefined) {
      const where = describe(subjectOf(other, "subnet"));
      const fault = `${subnet} overlaps ${lans[other]!.subnet} of ${where}`;
      problems.push(problem("SUBNET_OVERLAP", subnetSubject, fault));
    }
    return problems;
  });
}

/** Ranges that a Docker network cannot have or that would harm the host. */
const reservedRanges = [
  { cidr: "0.0.0.0/8", use: "which no host can have" },
  { cidr: "127.0.0.0/8", use: "the host's own loopback" },
  { cidr: "169.254.0.0/16", use: "link-local, where a cloud has its metadata" },
  { cidr: "224.0.0.0/3", use: "multicast and reserved" },
].map((it) => ({ ...it, range: rangeOf(it.cidr) }));

/** Parses the subnet of a LAN; returns a message when no LAN can have it. */
export function readLanSubnet(text: string): Subnet | string {
  const shown = excerpt(text);
  const cidr = parseCidr(text);
  if (cidr === null) return `${shown} is not an IPv4 subnet such as 10.0.0.0/24`;
  const subnet = subnetOf(cidr);
  if (cidr.address !== subnet.first) {
    const meant = `${formatAddress(subnet.first)}/${cidr.prefixLength}`;
    return `${shown} has host bits set; the subnet is ${meant}`;
  }
  if (cidr.prefixLength < 8) {
    return `${shown} is larger than a /8, too much of what the host may reach`;
  }
  if (cidr.prefixLength > 30) {
    return `${shown} is smaller than a /30, too small for a gateway and a container`;
  }
  const reserved = reservedRanges.find(({ range }) => overlaps(range, subnet));
  return reserved ? `${shown} overlaps ${reserved.cidr}, ${reserved.use}` : subnet;
}

/** Finds overlaps: index of a LAN → index of one other LAN that it overlaps. */
function findOverlaps(subnets: readonly (Subnet | string)[]): Map<number, number> {
  const sorted = subnets
    .flatMap((subnet, index) => typeof subnet === "string" ? [] : [{ subnet, index }])
    .sort((a, b) => a.subnet.first - b.subnet.first || b.subnet.last - a.subnet.last);
  const overlapping = new Map<number, number>();
  let widest = sorted[0];
  for (const lan of sorted.slice(1)) {
    // Subnets are nested or apart, so one that overlaps any earlier one overlaps the widest.
    if (widest && overlaps(widest.subnet, lan.subnet)) overlapping.set(lan.index, widest.index);
    else widest = lan;
  }
  return overlapping;
}

/** Checks the names, services, images and addresses of deckies, also for conflicts. */
export function checkDeckies({ lans, deckies }: Topology, images: ImageNames): Problem[] {
  const firstByName = new Map<string, Container>();
  const lanByName = new Map<string, KnownLan>();
  for (const { name, subnet: cidr } of lans) {
    const read = readLanSubnet(cidr);
    const subnet = typeof read === "string" ? null : read;
    if (!lanByName.has(name)) lanByName.set(name, { cidr, subnet, ownerByAddress: new Map() });
  }
  const nameByLowerCase = new Map(lans.map(({ name }) => [name.toLowerCase(), name]));
  return deckies.flatMap((decky, index) => [
    ...checkDeckyNames(decky, index),
    ...checkContainerNames(decky, index, firstByName),
    ...checkAddresses(decky, index, { lanByName, nameByLowerCase }),
    ...checkImages(decky, index, images),
  ]);
}

/** A decky's service as the subject of a problem. */
function serviceSubject(decky: Decky, service: string, place: string): Subject {
  return { what: `service ${excerpt(service)} of ${excerpt(decky.name)}`, place };
}

function checkDeckyNames(decky: Decky, index: number): Problem[] {
  return [
    ...checkName(decky.name, named(decky.name, `deckies[${index}].name`)),
    ...decky.services.flatMap((service, at) => {
      const place = `deckies[${index}].services[${at}]`;
      return checkName(service, serviceSubject(decky, service, place));
    }),
  ];
}

/** Checks the images of a decky's services, those of the document and those that are configured. */
function checkImages(decky: Decky, index: number, images: ImageNames): Problem[] {
  // Ignores images of services that the decky does not have, as they are never used.
  return [...new Set(decky.services)].flatMap((service) => {
    const image = serviceImage(service, decky, images);
    if (isImageReference(image)) return [];
    const config = `decky_config.service_config.${excerpt(service)}.image`;
    const isOwn = decky.imageByService.has(service);
    const place = `deckies[${index}].${isOwn ? config : "services"}`;
    const subject = serviceSubject(decky, service, place);
    // The name itself is reported: an image reference made of it is malformed, too.
    if (!isOwn && checkName(service, subject).length > 0) return [];
    const origin = isOwn ? "" : ", by service-image,";
    const fault = `${excerpt(image)}${origin} is not a Docker image reference`;
    return [problem("NAME_MALFORMED", subject, fault)];
  });
}

/** Length of the longest valid `<decky>-<service>`. */
const maximumNameLength = 63 + 1 + 63;

interface Container {
  readonly subject: Subject;
  readonly decky: Decky;
  /** Undefined for the decky's base container. */
  readonly service?: string;
}

/** Checks the names `<decky>` and `<decky>-<service>`, and adds them to those of earlier deckies. */
function checkContainerNames(
  decky: Decky,
  index: number,
  firstByName: Map<string, Container>,
): Problem[] {
  const place = `deckies[${index}]`;
  const base: Container = { subject: named(decky.name, `${place}.name`), decky };
  const services = decky.services.map((service, at): Container => {
    return { subject: serviceSubject(decky, service, `${place}.services[${at}]`), decky, service };
  });
  const ownByName = new Map<string, Container>();
  return [base, ...services].flatMap((container) => {
    const { subject, service } = container;
    const name = service === undefined ? decky.name : `${decky.name}-${service}`;
    // Longer names are malformed; comparing thousands with a huge common start takes too long.
    if (name.length > maximumNameLength) return [];
    const first = ownByName.get(name) ?? firstByName.get(name);
    if (!ownByName.has(name)) ownByName.set(name, container);
    if (!first) firstByName.set(name, container);
    // Reports two deckies with one name once, not again for each service that both have.
    const isTwin = first && first.decky !== decky && first.decky.name === decky.name;
    if (!first || (isTwin && service !== undefined && first.service === service)) return [];
    const fault = `its container ${excerpt(name)} has the same name as that of ${
      describe(first.subject)
    }`;
    return [problem("DECKY_NAME_DUP", subject, fault)];
  });
}

/** A LAN, with the first decky at each of its addresses. */
interface KnownLan {
  /** As it is written in the document. */
  readonly cidr: string;
  /** Null when the subnet is malformed. */
  readonly subnet: Subnet | null;
  readonly ownerByAddress: Map<number, Subject>;
}

/** Finds addresses that are malformed, taken or not on their LAN, and adds the others. */
function checkAddresses(
  { name, addressByLan }: Decky,
  index: number,
  { lanByName, nameByLowerCase }: {
    lanByName: ReadonlyMap<string, KnownLan>;
    nameByLowerCase: ReadonlyMap<string, string>;
  },
): Problem[] {
  const place = `deckies[${index}].decky_config.ips_by_lan`;
  if (addressByLan.size === 0) {
    return [problem("DECKY_ORPHAN", named(name, place), "the decky is on no LAN")];
  }
  return [...addressByLan].flatMap(([lanName, text]) => {
    const subject = named(name, `${place}.${excerpt(lanName)}`);
    const problems: Problem[] = [];
    const lan = lanByName.get(lanName);
    if (!lan) {
      const similar = nameByLowerCase.get(lanName.toLowerCase());
      const hint = similar === undefined ? "" : `; case counts, ${excerpt(similar)} is one`;
      const fault = `${excerpt(lanName)} is not a LAN of the document${hint}`;
      problems.push(problem("IP_UNKNOWN_LAN", subject, fault));
    }
    const address = parseAddress(text);
    if (address === null) {
      const fault = `${excerpt(text)} is not an IPv4 address such as 10.0.0.2`;
      problems.push(problem("IP_MALFORMED", subject, fault));
    } else if (lan) problems.push(...addAddress(address, lan, subject));
    return problems;
  });
}

function addAddress(address: number, lan: KnownLan, subject: Subject): Problem[] {
  const { cidr, subnet, ownerByAddress } = lan;
  const shown = formatAddress(address);
  const outside = (fault: string) => [problem("IP_OUT_OF_SUBNET", subject, `${shown} ${fault}`)];
  const taken = (fault: string) => [problem("IP_COLLISION", subject, `${shown} ${fault}`)];
  if (subnet) {
    if (!contains(subnet, address)) return outside(`is not in ${cidr}`);
    if (address === subnet.first) return outside(`is the network address of ${cidr}`);
    if (address === subnet.last) return outside(`is the broadcast address of ${cidr}`);
    // Docker's default gateway, also of an internal network.
    if (address === subnet.first + 1) {
      return taken(`is the gateway address of ${cidr}`);
    }
  }
  const owner = ownerByAddress.get(address);
  if (owner) return taken(`is also the address of ${describe(owner)}`);
  ownerByAddress.set(address, subject);
  return [];
}

/** Checks that each value of `service_config` that a service gets can be sent. */
export function checkConfigs(decky: Decky, index: number, catalogue: ServiceCatalogue): Problem[] {
  return [...new Set(decky.services)].flatMap((service) => {
    const [facts, config] = [catalogue.get(service), decky.configByService.get(service)];
    if (!facts || !config) return [];
    return resolveEnvironment(facts, config).faults.map(({ key, fault }) => {
      const names = [service, key].map(excerpt).join(".");
      const place = `deckies[${index}].decky_config.service_config.${names}`;
      return problem("CONFIG_MALFORMED", serviceSubject(decky, service, place), fault);
    });
  });
}

/** Checks that no two gateways publish the same port. */
export function checkPorts({ lans, deckies }: Topology, catalogue: ServiceCatalogue): Problem[] {
  const firstByPort = new Map<Port, Subject>();
  return deckies.flatMap((decky, index) => {
    const subject = named(decky.name, `deckies[${index}].services`);
    return publishedPorts(decky, { lans, catalogue }).flatMap((port) => {
      const first = firstByPort.get(port);
      if (!first) firstByPort.set(port, subject);
      const fault = first && `${describe(first)} publishes ${port} of the host already`;
      return fault ? [problem("PORT_COLLISION", subject, fault)] : [];
    });
  });
}
