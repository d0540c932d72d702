import type { Chance } from "./chance.ts";

const oddBytes = [0x00, 0x09, 0x0a, 0x0d, 0x20, 0x22, 0x2c, 0x3a, 0x5b, 0x5c, 0x7b, 0x7f, 0x80]
  .concat(0xc0, 0xed, 0xff);

/** The bytes with up to so many faults in them; `tokens` are put in now and then. */
export function mutateBytes(
  bytes: Uint8Array<ArrayBuffer>,
  chance: Chance,
  { faults, tokens = [] }: { faults: number; tokens?: readonly string[] },
): Uint8Array<ArrayBuffer> {
  let result = bytes;
  for (let count = 0; count < faults; count++) {
    const at = chance.below(result.length + 1);
    const length = Math.min(chance.few(64), result.length - at);
    const splice = (removed: number, put: Uint8Array<ArrayBuffer>) =>
      joined([result.subarray(0, at), put, result.subarray(at + removed)]);
    result = chance.any(
      () => splice(1, Uint8Array.of(chance.below(256))),
      () => splice(1, Uint8Array.of((result[at] ?? 0) ^ (1 << chance.below(8)))),
      () => splice(chance.below(2), Uint8Array.of(chance.pick(oddBytes))),
      () => splice(length, new Uint8Array()),
      () => splice(0, result.slice(at, at + length)),
      () => splice(0, chance.bytes(chance.few(16))),
      () => chance.isOneIn(4) ? result.slice(0, at) : result,
      () =>
        tokens.length > 0
          ? splice(chance.below(2) * length, new TextEncoder().encode(chance.pick(tokens)))
          : result,
    );
  }
  return result;
}

/** Several pieces as one. */
export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
