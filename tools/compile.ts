// deno-lint-ignore-file no-console
/**
 * Compiles main.ts into one executable:
 * `deno task compile [--official] [--target TRIPLE] [--output FILE]`.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { build } from "./build.ts";
import { findRuntimeBase } from "./runtime_base.ts";

const ROOT = resolve(import.meta.dirname!, "..");

async function main(
  args: string[],
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const { official, target, output } = parse(args);

  // Away with it first: after a failure no older one may pass for the new one.
  await Deno.mkdir(dirname(output), { recursive: true });
  await Deno.remove(output).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  await refuseOtherDeno();

  const log = (line: string) => console.log(line);
  const base = await findRuntimeBase(target, { env, official, log });
  console.log(`Runtime base: ${base.source}`);
  console.log(`  SHA-256 ${base.sha256}${base.pinned ? "" : " (not pinned)"}`);
  if (!base.pinned) {
    console.warn(`Warning: no SHA-256 is pinned for ${target}: nothing vouches for these bytes`);
  }

  await build(ROOT, output, { target, base: base.bytes, env });
  const bytes = await Deno.readFile(output);
  console.log(`Compiled ${relative(Deno.cwd(), output)} for ${target}`);
  console.log(`  ${bytes.length} bytes`);
  console.log(`  SHA-256 ${createHash("sha256").update(bytes).digest("hex")}`);
}

function parse(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      official: { type: "boolean", default: false },
      target: { type: "string", default: "x86_64-unknown-linux-gnu" },
      output: { type: "string" },
    },
  });
  const name = values.target.startsWith("aarch64") ? "decnet-agent-aarch64" : "decnet-agent";
  const output = resolve(values.output ?? join(ROOT, "dist", name));
  return { ...values, output };
}

/** Another Deno has another runtime base, thus another hash than the pinned one. */
async function refuseOtherDeno(): Promise<void> {
  const tools = await Deno.readTextFile(join(ROOT, ".tool-versions"));
  const pinned = /^deno\s+(\S+)$/m.exec(tools)?.[1];
  if (Deno.version.deno === pinned) return;
  throw new Error(
    `Cannot compile with Deno ${Deno.version.deno}: .tool-versions pins ` +
      `${pinned}; run npx -y deno@${pinned} task compile`,
  );
}

if (import.meta.main) {
  try {
    await main(Deno.args, Deno.env.toObject());
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
