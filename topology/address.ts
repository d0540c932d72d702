/** An IPv4 subnet; addresses are numbers of 32 bits. */
export interface Subnet {
  readonly first: number;
  readonly last: number;
}

/** An IPv4 address with a prefix length, such as 10.0.0.5/24. */
interface Cidr {
  /** A number of 32 bits. */
  readonly address: number;
  /** 0 to 32. */
  readonly prefixLength: number;
}

/** Parses an IPv4 address; null for any other text, also with leading zeros. */
export function parseAddress(text: string): number | null {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1);
  if (!parts?.every((part) => String(Number(part)) === part && Number(part) <= 255)) return null;
  return parts.reduce((address, part) => address * 256 + Number(part), 0);
}

/** Parses an IPv4 address, also one that is mapped into IPv6; null for any other text. */
function parseMapped(text: string): number | null {
  // A URL writes all forms of an IPv6 address as one.
  const host = text.includes(":") ? URL.parse(`http://[${text}]`)?.hostname ?? "" : text;
  const [, high, low] = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(host) ?? [];
  if (high === undefined || low === undefined) return parseAddress(host);
  return parseInt(high, 16) * 65_536 + parseInt(low, 16);
}

/** Writes an IPv4 address in dotted notation. */
export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}

/** Parses CIDR notation; null for any other text, also with leading zeros. */
export function parseCidr(text: string): Cidr | null {
  const [, addressText = "", prefix = ""] = /^([\d.]{7,15})\/(\d{1,2})$/.exec(text) ?? [];
  const address = parseAddress(addressText);
  const prefixLength = Number(prefix);
  if (address === null || prefixLength > 32 || String(prefixLength) !== prefix) return null;
  return { address, prefixLength };
}

/** Returns the subnet of an address with its prefix length. */
export function subnetOf({ address, prefixLength }: Cidr): Subnet {
  const size = 2 ** (32 - prefixLength);
  const first = address - address % size;
  return { first, last: first + size - 1 };
}

/** Parses a subnet of a Docker network, such as 10.0.0.5/24; an empty range when it is not IPv4. */
export function rangeOf(text: string): Subnet {
  const cidr = parseCidr(text);
  return cidr ? subnetOf(cidr) : { first: Infinity, last: -Infinity };
}

/** Whether two subnets have an address in common. */
export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.first <= b.last && b.first <= a.last;
}

/** Whether an address lies in a subnet. */
export function contains({ first, last }: Subnet, address: number): boolean {
  return first <= address && address <= last;
}

/** Addresses that a new LAN may not take: Docker would, and cut the host off from them. */
export interface ReservedRange {
  readonly range: Subnet;
  /** Follows the subnet in a message, such as `overlaps 10.0.0.0/24 of this host's interface eth0`. */
  readonly conflict: string;
}

/** Reserves the subnet of an address of one of this host's interfaces, such as 10.0.0.5/24. */
export function reserveInterface(name: string, cidr: string): ReservedRange[] {
  const parsed = parseCidr(cidr);
  if (parsed === null) return [];
  const { address, prefixLength } = parsed;
  // With a length of 0, its network is what a default route leads to.
  const range = subnetOf({ address, prefixLength: prefixLength || 32 });
  return [{ range, conflict: `overlaps ${cidr} of this host's interface ${name}` }];
}

/** Reserves one address; none for a text that is no IPv4 address, as LANs have no others. */
export function reserveAddress(text: string, conflict: string): ReservedRange[] {
  const address = parseMapped(text);
  if (address === null) return [];
  return [{
    range: { first: address, last: address },
    conflict: `${conflict}, ${formatAddress(address)}`,
  }];
}
