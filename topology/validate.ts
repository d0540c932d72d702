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
import { excerpt, named, problem } from "./problem.ts";
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
): string[] {
  const tooLarge = checkSize(topology);
  if (tooLarge.length > 0) return tooLarge;
  return [
    ...checkId(topology.id),
    ...checkDmz(topology),
    ...checkLans(topology.lans),
    ...checkDeckies(topology, images),
    ...checkConfigs(topology, services),
    ...(publish === null ? [] : checkPorts(topology, services)),
  ];
}

function checkSize({ id, lans, deckies }: Topology): string[] {
  const containers = deckies.reduce((sum, { services }) => sum + 1 + services.length, 0);
  const addresses = deckies.reduce((sum, { addressByLan }) => sum + addressByLan.size, 0);
  const sizes = [
    ["lans", lans.length, maximumLans, "LANs"],
    ["deckies", containers, maximumContainers, "deckies and services"],
    ["deckies", addresses, maximumAddresses, "addresses"],
  ] as const;
  const tooMany = sizes.filter(([, count, maximum]) => count > maximum);
  if (tooMany.length === 0) return checkBridges(lans, deckies);
  return tooMany.map(([place, count, maximum, what]) => {
    const fault = `it has ${count} ${what}; at most ${maximum} are taken`;
    return problem("TOO_LARGE", topologyAt(id, place), fault);
  });
}

function topologyAt(id: string, place: string): string {
  return `topology ${named(id, place)}`;
}

/** Checks that each LAN's bridge has a port for each of its deckies. */
function checkBridges(lans: readonly Lan[], deckies: readonly Decky[]): string[] {
  const places = deckies.flatMap(({ addressByLan }) => [...addressByLan.keys()]);
  const placesByLan = Map.groupBy(places, (lan) => lan);
  return lans.flatMap(({ name }, index) => {
    const count = placesByLan.get(name)?.length ?? 0;
    if (count <= maximumDeckiesOnLan) return [];
    const fault = `${count} deckies are on it; a bridge takes at most ${maximumDeckiesOnLan}`;
    return [problem("TOO_LARGE", named(name, `lans[${index}]`), fault)];
  });
}

/** Checks a topology's id. */
export function checkId(id: string): string[] {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(id)) return [];
  return [problem("ID_MALFORMED", topologyAt(id, "topology.id"), `an id must ${nameRule(64)}`)];
}

/** Checks a name: Docker limits its characters; a decky's is a host name, which limits its length. */
export function checkName(name: string, subject: string): string[] {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(name)) return [];
  return [problem("NAME_MALFORMED", subject, `a name must ${nameRule(63)}`)];
}

function nameRule(length: number): string {
  return `be at most ${length} letters (A-Z, a-z), digits, "_", "." and "-", and begin with a letter ` +
    "or digit";
}

/** Checks that there is one DMZ, and that deckies on several LANs connect every LAN to it. */
export function checkDmz({ id, lans, deckies }: Topology): string[] {
  if (lans.length === 0 && deckies.length === 0) return [];
  const subjects = lans.map(({ name }, index) => named(name, `lans[${index}]`));
  const dmzs = subjects.filter((_, index) => lans[index]!.isDmz);
  if (dmzs.length === 0) {
    return [problem("DMZ_MISSING", topologyAt(id, "lans"), "no LAN has is_dmz")];
  }
  const [first, ...others] = dmzs;
  const twice = `only one LAN may have is_dmz, and ${first} has it`;
  const reached = findReachableLans(lans, deckies);
  const orphans = subjects.filter((_, index) => !reached.has(lans[index]!.name));
  const fault = "no deckies on several LANs make a path from it to the DMZ";
  return [
    ...others.map((subject) => problem("DMZ_MULTIPLE", subject, twice)),
    ...orphans.map((subject) => problem("DMZ_ORPHAN", subject, fault)),
  ];
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

/** Checks the names and subnets of LANs, also for conflicts with those before them. */
export function checkLans(lans: readonly Lan[]): string[] {
  const subnets = lans.map(({ subnet }) => readLanSubnet(subnet));
  const firstByDockerName = new Map<string, string>();
  return lans.flatMap(({ name }, index) => {
    const subject = named(name, `lans[${index}].name`);
    const problems = checkName(name, subject);
    const namesake = firstByDockerName.get(name.toLowerCase());
    if (namesake === undefined) firstByDockerName.set(name.toLowerCase(), subject);
    else {
      const fault = `${namesake} has this name already; case does not count`;
      problems.push(problem("LAN_NAME_DUP", subject, fault));
    }
    return [...problems, ...checkSubnet(lans, subnets, index)];
  });
}

function checkSubnet(
  lans: readonly Lan[],
  subnets: readonly (Subnet | string)[],
  index: number,
): string[] {
  const subject = (at: number) => named(lans[at]!.name, `lans[${at}].subnet`);
  const subnet = subnets[index]!;
  if (typeof subnet === "string") return [problem("SUBNET_MALFORMED", subject(index), subnet)];
  const at = subnets.findIndex((it) => typeof it !== "string" && overlaps(it, subnet));
  if (at === index) return [];
  const fault = `${lans[index]!.subnet} overlaps ${lans[at]!.subnet} of ${subject(at)}`;
  return [problem("SUBNET_OVERLAP", subject(index), fault)];
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

/** Checks the names, services, images and addresses of deckies, also for conflicts. */
export function checkDeckies({ lans, deckies }: Topology, images: ImageNames): string[] {
  const names: TakenNames = { byBases: new Set(), firstByContainer: new Map() };
  const lanByName = knownLans(lans);
  return deckies.flatMap((decky, index) => [
    ...checkDeckyNames(decky, index, names),
    ...checkAddresses(decky, index, lanByName),
    ...checkImages(decky, index, images),
  ]);
}

function serviceAt(decky: string, service: string, place: string): string {
  return `service ${excerpt(service)} of ${named(decky, place)}`;
}

/** Checks the images of a decky's services, those of the document and those that are configured. */
function checkImages(decky: Decky, index: number, images: ImageNames): string[] {
  // Ignores images of services that the decky does not have, as they are never used.
  return [...new Set(decky.services)].flatMap((service) => {
    const image = serviceImage(service, decky, images);
    if (isImageReference(image)) return [];
    const config = `decky_config.service_config.${excerpt(service)}.image`;
    const isOwn = decky.imageByService.has(service);
    const subject = serviceAt(
      decky.name,
      service,
      `deckies[${index}].${isOwn ? config : "services"}`,
    );
    // The name itself is reported: an image reference made of it is malformed, too.
    if (!isOwn && checkName(service, subject).length > 0) return [];
    const origin = isOwn ? "" : ", by service-image,";
    const fault = `${excerpt(image)}${origin} is not a Docker image reference`;
    return [problem("NAME_MALFORMED", subject, fault)];
  });
}

/** Length of the longest valid `<decky>-<service>`. */
const maximumNameLength = 63 + 1 + 63;

interface TakenNames {
  readonly byBases: Set<string>;
  /** The name of a container → the first one that has it. */
  readonly firstByContainer: Map<string, string>;
}

/** Checks names, and those of the containers, `<decky>` and `<decky>-<service>`, and adds these. */
function checkDeckyNames(
  { name: decky, services }: Decky,
  index: number,
  { byBases, firstByContainer }: TakenNames,
): string[] {
  const place = `deckies[${index}]`;
  const base = { name: decky, container: decky, subject: named(decky, `${place}.name`) };
  const all = [base].concat(services.map((name, at) => {
    const subject = serviceAt(decky, name, `${place}.services[${at}]`);
    return { name, container: `${decky}-${name}`, subject };
  }));
  // Reports two deckies with one name once, not again for each service that both have.
  const compared = byBases.has(decky) ? [base] : all;
  byBases.add(decky);
  const doubles = compared.flatMap(({ container, subject }) => {
    // Longer names are malformed; comparing thousands with a huge common start takes too long.
    if (container.length > maximumNameLength) return [];
    const first = firstByContainer.get(container);
    if (first === undefined) firstByContainer.set(container, subject);
    const shown = excerpt(container);
    const fault = first && `its container ${shown} has the same name as that of ${first}`;
    return fault ? [problem("DECKY_NAME_DUP", subject, fault)] : [];
  });
  return [...all.flatMap(({ name, subject }) => checkName(name, subject)), ...doubles];
}

interface KnownLan {
  readonly lan: Lan;
  /** Null when the subnet is malformed. */
  readonly subnet: Subnet | null;
  /** The first decky that has an address. */
  readonly ownerByAddress: Map<number, string>;
}

/** Returns the LANs by their names in lower case; the first of several. */
function knownLans(lans: readonly Lan[]): ReadonlyMap<string, KnownLan> {
  return new Map(
    lans.toReversed().map((lan) => {
      const read = readLanSubnet(lan.subnet);
      const subnet = typeof read === "string" ? null : read;
      return [lan.name.toLowerCase(), { lan, subnet, ownerByAddress: new Map() }];
    }),
  );
}

/** Checks that a decky's addresses are well-formed, free and on its LANs, and adds them. */
function checkAddresses(
  { name, addressByLan }: Decky,
  index: number,
  lanByName: ReadonlyMap<string, KnownLan>,
): string[] {
  const place = `deckies[${index}].decky_config.ips_by_lan`;
  if (addressByLan.size === 0) {
    return [problem("DECKY_ORPHAN", named(name, place), "the decky is on no LAN")];
  }
  return [...addressByLan].flatMap(([lanName, text]) => {
    const subject = named(name, `${place}.${excerpt(lanName)}`);
    const similar = lanByName.get(lanName.toLowerCase());
    const isKnown = similar?.lan.name === lanName;
    const problems: string[] = [];
    if (!isKnown) {
      const hint = similar ? `; case counts, ${excerpt(similar.lan.name)} is one` : "";
      const fault = `${excerpt(lanName)} is not a LAN of the document${hint}`;
      problems.push(problem("IP_UNKNOWN_LAN", subject, fault));
    }
    const address = parseAddress(text);
    if (address === null) {
      const fault = `${excerpt(text)} is not an IPv4 address such as 10.0.0.2`;
      problems.push(problem("IP_MALFORMED", subject, fault));
    } else if (isKnown) problems.push(...addAddress(address, similar, subject));
    return problems;
  });
}

function addAddress(address: number, known: KnownLan, subject: string): string[] {
  const { lan: { subnet: cidr }, subnet, ownerByAddress } = known;
  const shown = formatAddress(address);
  const outside = (fault: string) => [problem("IP_OUT_OF_SUBNET", subject, `${shown} ${fault}`)];
  const taken = (fault: string) => [problem("IP_COLLISION", subject, `${shown} ${fault}`)];
  if (subnet) {
    if (!contains(subnet, address)) return outside(`is not in ${cidr}`);
    if (address === subnet.first) return outside(`is the network address of ${cidr}`);
    if (address === subnet.last) return outside(`is the broadcast address of ${cidr}`);
    // Docker's default gateway, also of an internal network.
    if (address === subnet.first + 1) return taken(`is the gateway address of ${cidr}`);
  }
  const owner = ownerByAddress.get(address);
  if (owner !== undefined) return taken(`is also the address of ${owner}`);
  ownerByAddress.set(address, subject);
  return [];
}

/** Checks that each value of `service_config` that a service gets can be sent. */
function checkConfigs({ deckies }: Topology, catalogue: ServiceCatalogue): string[] {
  return deckies.flatMap((decky, index) =>
    [...decky.configByService].flatMap(([service, config]) => {
      const place = `deckies[${index}].decky_config.service_config`;
      return resolveEnvironment(catalogue.get(service) ?? {}, config).faults
        .map(({ key, fault }) => {
          const names = [service, key].map(excerpt).join(".");
          const subject = serviceAt(decky.name, service, `${place}.${names}`);
          return problem("CONFIG_MALFORMED", subject, fault);
        });
    })
  );
}

/** Checks that no two gateways publish the same port. */
function checkPorts({ lans, deckies }: Topology, catalogue: ServiceCatalogue): string[] {
  const firstByPort = new Map<Port, string>();
  return deckies.flatMap((decky, index) => {
    const subject = named(decky.name, `deckies[${index}].services`);
    return publishedPorts(decky, { lans, catalogue }).flatMap((port) => {
      const first = firstByPort.get(port);
      if (first === undefined) firstByPort.set(port, subject);
      const fault = first && `${first} publishes ${port} of the host already`;
      return fault ? [problem("PORT_COLLISION", subject, fault)] : [];
    });
  });
}
