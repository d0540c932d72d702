// deno-lint-ignore-file no-console
/**
 * Makes all files of a release in dist/release: executables for each target, on the official runtime
 * base only; what they are made of, as SPDX; the sums of all of them, and with a key the signature of
 * the sums: `deno task release [--tag v1.2.3] [--target TRIPLE] [--sign KEYFILE] [--rehearse]`.
 *
 * Takes only a checkout without changes. A rehearsal takes any source, and the runtime base that other
 * builds take, and goes to dist/rehearsal.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { describeSource, run, runTool, sourceTime } from "./build.ts";

/** Returns a package of a bill of materials. */
function part(id: string, name: string, versionInfo: string, licenseDeclared: string) {
  return {
    SPDXID: `SPDXRef-${id}`,
    ...{ name, versionInfo, downloadLocation: "NOASSERTION", filesAnalyzed: false },
    ...{ licenseConcluded: licenseDeclared, licenseDeclared, copyrightText: "NOASSERTION" },
  };
}

/** Returns the bill of materials of an executable, as SPDX 2.3; the same for the same executable. */
function billOfMaterials(name: string, version: string, sha256: string, created: number): object {
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
        ...part("decnet-agent", "decnet-agent", version, "MIT"),
        packageFileName: name,
        checksums: [{ algorithm: "SHA256", checksumValue: sha256 }],
        primaryPackagePurpose: "APPLICATION",
      },
      // Only what has a version to look up.
      part(
        "deno",
        "denort (Deno's runtime base, with SQLite and its TLS)",
        Deno.version.deno,
        "MIT",
      ),
      part("v8", "V8", Deno.version.v8, "BSD-3-Clause"),
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
const targets = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];
/** What the signature is for: one made with the same key for another purpose is refused. */
const namespace = "decnet-agent";

async function main(args: string[], env: Record<string, string>): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      tag: { type: "string" },
      target: { type: "string", multiple: true },
      sign: { type: "string" },
      rehearse: { type: "boolean", default: false },
    },
  });
  const { tag, rehearse, sign: key } = values;
  const { version } = JSON.parse(await Deno.readTextFile(join(root, "deno.json")));
  if (tag !== undefined && tag !== `v${version}`) {
    throw new Error(`Cannot release ${tag}: deno.json says version ${version}`);
  }
  const created = await sourceTime(root, env);
  const source = await describeSource(root, created);
  if (!rehearse && !/^[0-9a-f]+ /.test(source)) {
    const advice = "commit all changes in a checkout, or rehearse with --rehearse";
    throw new Error(`Cannot release the source '${source}': ${advice}`);
  }
  // Before the builds, so that a wrong key is found at once.
  const signer = key === undefined ? null : { key, publicKey: await publicKeyOf(key, env) };
  const folder = join(root, "dist", rehearse ? "rehearsal" : "release");
  await Deno.remove(folder, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  await Deno.mkdir(folder, { recursive: true });
  for (const target of values.target ?? targets) {
    const output = join(folder, `decnet-agent-${version}-linux-${target.split("-")[0]}`);
    const flags = [...(rehearse ? [] : ["--official"]), "--target", target, "--output", output];
    const compile = ["run", "-A", "tools/compile.ts", ...flags];
    console.log(await run(Deno.execPath(), compile, { cwd: root, env }));
    const hash = await sha256(output);
    const bom = billOfMaterials(basename(output), version, hash, created);
    await Deno.writeTextFile(`${output}.spdx.json`, `${JSON.stringify(bom, null, 2)}\n`);
  }
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  const sums = await Promise.all(names.map(async (name) => {
    return `${await sha256(join(folder, name))}  ${name}\n`;
  }));
  const sumsPath = join(folder, "SHA256SUMS");
  await Deno.writeTextFile(sumsPath, sums.join(""));
  console.log(sums.join("").trimEnd());
  if (!signer) return;
  await run("ssh-keygen", ["-Y", "sign", "-f", signer.key, "-n", namespace, sumsPath], { env });
  console.log(`Signed. The line of allowed_signers, to publish apart from the release:
decnet-agent namespaces="${namespace}" ${signer.publicKey}`);
}

/** Returns the type and the public part of a private key, without its comment. */
async function publicKeyOf(key: string, env: Record<string, string>): Promise<string> {
  const text = await run("ssh-keygen", ["-y", "-f", key], { env });
  return text.trim().split(" ").slice(0, 2).join(" ");
}

async function sha256(path: string): Promise<string> {
  return createHash("sha256").update(await Deno.readFile(path)).digest("hex");
}

if (import.meta.main) await runTool(main);
