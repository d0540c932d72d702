/** Makes garbage that was in use for long, and prints the most that the heap had, in MiB. */

const inUse: unknown[] = [];
let most = 0;
for (let round = 0; round < 512; round++) {
  inUse[round % 32] = Array.from({ length: 2048 }, () => ({}));
  most = Math.max(most, Deno.memoryUsage().heapUsed);
  await new Promise((resolve) => setTimeout(resolve));
}
// deno-lint-ignore no-console
console.log(most / 2 ** 20);
