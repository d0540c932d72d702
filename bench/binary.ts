/**
 * Measures the executable, packed with xz as it would be carried, and what is in it:
 * `deno task bench:binary`. Needs xz.
 */

import { openElf, readSections, SHT_NOBITS } from "../tools/elf.ts";
import { figure, printFigures, printTable, withAgent } from "./harness.ts";

const mib = 2 ** 20;
/** What each section is for, by the beginning of its name; the first that fits counts. */
const purposes: readonly [prefix: string, purpose: string][] = [
  [".note.sui", "the agent: its bundled program and its permissions"],
  [".text", "machine code of the runtime: V8, SQLite, TLS, Rust libraries"],
  [".rodata", "constants: V8's snapshot and builtins, Unicode tables, texts"],
  [".eh_frame", "how to unwind the stack after an error in Rust or C++"],
  [".rel", "addresses that the loader sets at each start"],
  [".data", "data that changes, or that holds addresses"],
  ["", "all else"],
];

await withAgent(async (folder) => {
  const program = await Deno.readFile(`${folder}/agent`);
  const sizes = new Map<string, number>();
  for (const { name, type, size } of readSections(openElf(program))) {
    if (type === SHT_NOBITS) continue;
    const [, purpose] = purposes.find(([prefix]) => name.startsWith(prefix))!;
    sizes.set(purpose, (sizes.get(purpose) ?? 0) + size);
  }
  const largestFirst = [...sizes].sort(([, a], [, b]) => b - a);
  const rows = largestFirst.map(([purpose, size]) => [purpose, (size / mib).toFixed(2)]);
  printTable(["in the executable", "MiB"], rows);
  const xz = { args: ["--stdout", "--threads=0", "-6", `${folder}/agent`] };
  const { success, stdout } = await new Deno.Command("xz", xz).output();
  if (!success) throw new Error("Cannot pack the executable: xz failed");
  printFigures([
    figure("the executable, stripped", program.length / mib, "≤ 84 MiB", 1),
    figure("the same, packed with xz", stdout.length / mib, "≤ 24 MiB", 1),
  ]);
});
