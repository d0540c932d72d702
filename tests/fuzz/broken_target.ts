import type { Target } from "./target.ts";

const hoard: Uint8Array[] = [];

/** Opens a target for the fuzzer's own test: each of the first cases goes wrong in another way. */
export function open(folder: string): Target {
  const kinds: readonly (() => string | Promise<string>)[] = [
    () => "fine",
    () => {
      throw new RangeError("an invariant does not hold");
    },
    () => Deno.exit(7),
    () => new Promise(() => setInterval(() => {}, 1_000)),
    () => {
      for (;;);
    },
    () => {
      const until = performance.now() + 150;
      while (performance.now() < until);
      return "slow";
    },
    () => {
      for (let count = 0; count < 40; count++) hoard.push(new Uint8Array(10 * 2 ** 20).fill(1));
      return "large";
    },
  ];
  return {
    run: () => kinds[Number(Deno.readTextFileSync(`${folder}/../case`))]?.() ?? "fine",
  };
}
