import assert from "node:assert/strict";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { findRuntimeBase } from "./runtime_base.ts";

const root = new URL("../", import.meta.url).pathname;
const target = "x86_64-unknown-linux-gnu";
const folder = `${root}dist/release`;

/** Runs the release for one target, on the base that the other builds take. */
async function release(...args: string[]) {
  using scratch = new TemporaryFolder();
  const base = `${scratch.path}/denort`;
  // It has the hash of the official one, which is all that counts.
  const { bytes } = await findRuntimeBase(target, { env: Deno.env.toObject() });
  await Deno.writeFile(base, bytes);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "tools/release.ts", "--target", target, ...args],
    cwd: root,
    env: { DENORT_BIN: base },
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("release.ts makes executable, bill of materials and sums", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(`${root}deno.json`));
  const { code, stderr } = await release("--tag", `v${version}`);
  assert.equal(code, 0, stderr);
  const name = `decnet-agent-${version}-linux-x86_64`;
  const check = await new Deno.Command("sha256sum", {
    args: ["--check", "--strict", "SHA256SUMS"],
    cwd: folder,
  }).output();
  assert.equal(new TextDecoder().decode(check.stdout), `${name}: OK\n${name}.spdx.json: OK\n`);
  const bom = JSON.parse(await Deno.readTextFile(`${folder}/${name}.spdx.json`));
  const [own, ...parts] = bom.packages;
  const sums = await Deno.readTextFile(`${folder}/SHA256SUMS`);
  assert.ok(sums.startsWith(`${own.checksums[0].checksumValue}  ${name}\n`));
  assert.equal(own.versionInfo, version);
  assert.deepEqual(
    parts.map(({ versionInfo }: { versionInfo: string }) => versionInfo),
    [Deno.version.deno, Deno.version.v8],
  );
  const described = new Set(bom.packages.map(({ SPDXID }: { SPDXID: string }) => SPDXID));
  for (const { relatedSpdxElement } of bom.relationships) {
    assert.ok(described.has(relatedSpdxElement));
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("release.ts refuses a tag that is not the version", async () => {
  const { code, stderr } = await release("--tag", "v99.0.0");
  assert.equal(code, 1);
  assert.match(stderr, /^error: Cannot release v99\.0\.0: deno\.json says version \d/);
});
