/** A range of IPv4 addresses, as numbers. */
export interface Subnet {
  readonly first: number;
  readonly last: number;
  readonly bits: number;
}

/** Reads `10.0.0.0/24`; undefined when it is nothing of the kind. */
export function readSubnet(text: string): Subnet | undefined {
  const match = text.match(/^([\d.]+)\/(\d{1,2})$/);
  const address = readAddress(match?.[1] ?? "");
  const bits = Number(match?.[2]);
  if (address === undefined || !(bits <= 32)) return undefined;
  const size = 2 ** (32 - bits);
  const first = address - address % size;
  return { first, last: first + size - 1, bits };
}

/** Reads `10.0.0.1`; undefined when it is nothing of the kind. */
export function readAddress(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part))) {
    return undefined;
  }
  const octets = parts.map(Number);
  if (octets.some((octet) => octet > 255)) return undefined;
  return octets.reduce((number, octet) => number * 256 + octet, 0);
}

/** Writes an address. */
export function showAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => address >>> shift & 255).join(".");
}

/** Whether two ranges share an address. */
export function overlap(one: Subnet, other: Subnet): boolean {
  return one.first <= other.last && other.first <= one.last;
}
