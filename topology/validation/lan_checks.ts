import { formatAddress, isOverlapping, parseCidr, type Subnet, subnetOf } from "../address.ts";
import type { Lan } from "../document.ts";
import { checkName } from "./name.ts";
import { describe, excerpt, named, type Problem, problem, type Subject } from "./problem.ts";

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
