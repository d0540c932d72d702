// deno-lint-ignore-file no-console
/**
 * Makes all files of a release, but for the signature: `deno task release [--tag v1.2.3]
 * [--target TRIPLE]`. Executables for each target, on the official runtime base only; what they are
 * made of, as SPDX; and the sums of all of them, in dist/release.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { sourceTime } from "./compile/build.ts";
import { run } from "./compile/command.ts";
import { bomOf } from "./release/bill_of_materials.ts";

const root = resolve(import.meta.dirname!, "..");
const folder = join(root, "dist", "release");
const targets = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

async function main(args: string[], env: Record<string, string>): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { tag: { type: "string" }, target: { type: "string", multiple: true } },
  });
  const { version } = JSON.parse(await Deno.readTextFile(join(root, "deno.json")));
  if (values.tag !== undefined && values.tag !== `v${version}`) {
    throw new Error(`Cannot release ${values.tag}: deno.json says version ${version}`);
  }
  await Deno.remove(folder, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  await Deno.mkdir(folder, { recursive: true });
  const created = await sourceTime(root, env);
  for (const target of values.target ?? targets) {
    const output = join(folder, `decnet-agent-${version}-linux-${target.split("-")[0]}`);
    const flags = ["--official", "--target", target, "--output", output];
    console.log(
      await run(Deno.execPath(), ["run", "-A", "scripts/compile.ts", ...flags], {
        cwd: root,
        env,
      }),
    );
    const bom = bomOf({
      name: basename(output),
      version,
      sha256: await sha256(output),
      created,
      runtime: Deno.version,
    });
    await Deno.writeTextFile(`${output}.spdx.json`, `${JSON.stringify(bom, null, 2)}\n`);
  }
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  const sums = await Promise.all(names.map(async (name) => {
    return `${await sha256(join(folder, name))}  ${name}\n`;
  }));
  await Deno.writeTextFile(join(folder, "SHA256SUMS"), sums.join(""));
  console.log(sums.join("").trimEnd());
}

async function sha256(path: string): Promise<string> {
  return createHash("sha256").update(await Deno.readFile(path)).digest("hex");
}

if (import.meta.main) {
  try {
    await main(Deno.args, Deno.env.toObject());
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
