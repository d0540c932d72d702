import assert from "node:assert/strict";

/** Addresses as whole numbers; written without a look at how the program reads them. */
export interface Range {
  readonly first: bigint;
  readonly last: bigint;
}

/** An IPv4 address. Throws `AssertionError` for another text. */
export function addressOf(text: string): bigint {
  assert.match(text, /^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$/, `address ${text}`);
  return text.split(".").reduce((sum, part) => {
    assert.ok(part === "0" || !part.startsWith("0"), `address ${text}`);
    assert.ok(part.length <= 3 && Number(part) < 256, `address ${text}`);
    return sum * 256n + BigInt(part);
  }, 0n);
}

/** An IPv4 subnet, nothing set behind its prefix. Throws `AssertionError` for another text. */
export function rangeOf(text: string): Range {
  const parts = text.split("/");
  assert.equal(parts.length, 2, `subnet ${text}`);
  assert.match(parts[1]!, /^([1-9]|[12][0-9]|30)$/, `subnet ${text}`);
  const size = 1n << BigInt(32 - Number(parts[1]));
  const first = addressOf(parts[0]!);
  assert.equal(first % size, 0n, `subnet ${text}`);
  return { first, last: first + size - 1n };
}

/** Sees that no two of them have an address in common. */
export function checkApart(ranges: readonly Range[]): void {
  const sorted = [...ranges].sort((a, b) => a.first < b.first ? -1 : 1);
  sorted.slice(1).forEach(({ first }, index) => {
    assert.ok(first > sorted[index]!.last, "two subnets overlap");
  });
}
