import { build } from "../scripts/compile/build.ts";
import { findRuntimeBase } from "../scripts/compile/runtime_base.ts";

const target = "x86_64-unknown-linux-gnu";

/** Compiles a program of this repository as the agent itself is compiled; V8 may get more flags. */
export async function compileProgram(
  entry: string,
  output: string,
  { v8Flags = [] }: { readonly v8Flags?: readonly string[] } = {},
): Promise<void> {
  const root = new URL("..", import.meta.url).pathname;
  const env = Deno.env.toObject();
  const { bytes } = await findRuntimeBase(target, { env });
  await build(root, output, { target, base: bytes, env, entry, v8Flags });
}

/** Starts a stand-in in a process of its own; it is ready when it has made the file `ready`. */
export async function startStandIn(
  name: "engine" | "master" | "fleet_master",
  args: readonly string[],
  ready: string,
): Promise<Deno.ChildProcess> {
  const entry = new URL(`programs/${name}.ts`, import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", entry, ...args],
    stdin: "null",
    stdout: "null",
  }).spawn();
  let hasEnded = false;
  child.status.then(() => hasEnded = true);
  for (let attempt = 0; attempt < 500 && !hasEnded; attempt++) {
    if (await Deno.stat(ready).then(() => true, () => false)) return child;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await child[Symbol.asyncDispose]();
  throw new Error(`The stand-in ${name} ended at once, or did not start within 10 s`);
}

/** Rows as a table with a heading, columns padded. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ") + "\n"
  )
    .join("");
}
