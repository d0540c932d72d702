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
import { run, sourceTime } from "./build.ts";

/** What an executable was made from. */
interface Making {
  /** The name of its file. */
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
  /** When the sources were last changed, in seconds since 1970. */
  readonly created: number;
  readonly runtime: { readonly deno: string; readonly v8: string };
}

const unknown = "NOASSERTION";
/** What `denort` is made of, as far as it has a version to look up. */
const partOf = (id: string, name: string, versionInfo: string, licenseDeclared: string) => ({
  SPDXID: `SPDXRef-${id}`,
  name,
  versionInfo,
  downloadLocation: unknown,
  filesAnalyzed: false,
  licenseConcluded: licenseDeclared,
  licenseDeclared,
  copyrightText: unknown,
});

/** The bill of materials of an executable, as SPDX 2.3; the same for the same executable. */
function bomOf({ name, version, sha256, created, runtime }: Making): object {
  return {
    spdxVersion: "SPDX-2.3",
    dataLicense: "CC0-1.0",
    SPDXID: "SPDXRef-DOCUMENT",
    name,
    documentNamespace: `https://spdx.org/spdxdocs/${name}-${sha256}`,
    creationInfo: {
      created: new Date(created * 1000).toISOString().replace(/\.\d+/, ""),
      creators: ["Tool: decnet-agent-release"],
    },
    packages: [
      {
        ...partOf("decnet-agent", "decnet-agent", version, "MIT"),
        packageFileName: name,
        checksums: [{ algorithm: "SHA256", checksumValue: sha256 }],
        primaryPackagePurpose: "APPLICATION",
      },
      partOf("deno", "denort (Deno's runtime base, with SQLite and its TLS)", runtime.deno, "MIT"),
      partOf("v8", "V8", runtime.v8, "BSD-3-Clause"),
    ],
    relationships: [
      ["SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-decnet-agent"],
      ["SPDXRef-decnet-agent", "CONTAINS", "SPDXRef-deno"],
      ["SPDXRef-deno", "CONTAINS", "SPDXRef-v8"],
    ].map(([spdxElementId, relationshipType, relatedSpdxElement]) => ({
      spdxElementId,
      relationshipType,
      relatedSpdxElement,
    })),
  };
}

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
      await run(Deno.execPath(), ["run", "-A", "tools/compile.ts", ...flags], {
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
