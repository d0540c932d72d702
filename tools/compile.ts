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
import { build, runTool } from "./build.ts";
import { findRuntimeBase } from "./runtime_base.ts";

const root = resolve(import.meta.dirname!, "..");

async function main(args: string[], env: Record<string, string>): Promise<void> {
  const { official, target, output } = parse(args);

  // Removed first: after a failure an older one must not pass for the new one.
  await Deno.mkdir(dirname(output), { recursive: true });
  await Deno.remove(output).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  const tools = await Deno.readTextFile(join(root, ".tool-versions"));
  checkDenoVersion(Deno.version.deno, /^deno\s+(\S+)$/m.exec(tools)?.[1]);

  const log = (line: string) => console.log(line);
  const base = await findRuntimeBase(target, { env, official, log });
  console.log(`Runtime base: ${base.source}\n  SHA-256 ${base.sha256}`);
  if (!base.pinned) {
    console.warn(`Warning: no SHA-256 is pinned for ${target}: nothing vouches for these bytes`);
  }

  await build(root, output, { target, base: base.bytes, env });
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
  const output = resolve(values.output ?? join(root, "dist", name));
  return { ...values, output };
}

/**
 * Throws `Error` for a Deno other than the pinned one, which has another runtime base, or older than
 * 2.7.14, whose HTTPS server lets clients in without the certificate that it asks for.
 */
export function checkDenoVersion(version: string, pinned: string | undefined): void {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map((part) => parseInt(part));
  if ((major * 1000 + minor) * 1000 + patch < 2_007_014) {
    throw new Error(
      `Cannot compile with Deno ${version}: before 2.7.14 the API lets in clients without a certificate`,
    );
  }
  if (version === pinned) return;
  throw new Error(
    `Cannot compile with Deno ${version}: .tool-versions pins ${pinned}; ` +
      `run npx -y deno@${pinned} task compile`,
  );
}

if (import.meta.main) await runTool(main);
