// deno-lint-ignore-file no-console
/**
 * How large the executable is, packed with xz as it would be carried, and what is in it:
 * `deno task bench:binary`. Needs xz.
 */

import { openElf, readSections, SHT_NOBITS } from "../tools/elf.ts";
import { compileProgram, printFigures, table } from "./harness.ts";

const mib = 2 ** 20;
const folder = await Deno.makeTempDir({ prefix: "decnet-bench-" });
/** What each section is for, by the beginning of its name; the first that fits counts. */
const purposes: readonly [prefix: string, purpose: string][] = [
  [".note.sui", "the agent: its bundled program and its permissions"],
  [".text", "machine code of the runtime: V8, SQLite, TLS, Rust libraries"],
  [".rodata", "constants: V8's snapshot and builtins, Unicode tables, texts"],
  [".eh_frame", "how to unwind the stack after an error in Rust or C++"],
  [".rel", "addresses that the loader sets at each start"],
  [".data", "data that changes, or that holds addresses"],
];
try {
  const path = `${folder}/agent`;
  await compileProgram("main.ts", path);
  const program = await Deno.readFile(path);
  const fail = (why: string) => new Error(why);
  const sections = readSections(openElf(program, fail), fail);
  const sizes = new Map<string, number>();
  for (const { name, type, size } of sections) {
    if (type === SHT_NOBITS) continue;
    const purpose = purposes.find(([prefix]) => name.startsWith(prefix))?.[1] ?? "all else";
    sizes.set(purpose, (sizes.get(purpose) ?? 0) + size);
  }
  const rows = [...sizes].sort(([, a], [, b]) => b - a)
    .map(([purpose, size]) => [purpose, (size / mib).toFixed(2)]);
  console.log(table([["in the executable", "MiB"], ...rows]));
  const { success, stdout } = await new Deno.Command("xz", {
    args: ["--stdout", "--threads=0", "-6", path],
  }).output();
  if (!success) throw new Error("Cannot pack the executable: xz failed");
  printFigures([
    {
      name: "the executable, stripped",
      goal: "≤ 84 MiB",
      measured: `${(program.length / mib).toFixed(1)} MiB`,
      met: program.length <= 84 * mib,
    },
    {
      name: "the same, packed with xz",
      goal: "≤ 24 MiB",
      measured: `${(stdout.length / mib).toFixed(1)} MiB`,
      met: stdout.length <= 24 * mib,
    },
  ]);
} finally {
  await Deno.remove(folder, { recursive: true });
}
