import assert from "node:assert/strict";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { requirement, works } from "../tests/support/requirements.ts";

const root = new URL("../", import.meta.url).pathname;
const target = "x86_64-unknown-linux-gnu";
const folder = `${root}dist/rehearsal`;
const { version } = JSON.parse(Deno.readTextFileSync(`${root}deno.json`));
const name = `decnet-agent-${version}-linux-x86_64`;

/** What a command line, run in the folder of the release, has printed. */
async function runIn(cwd: string, program: string, ...args: string[]) {
  return await ended(new Deno.Command(program, { args, cwd, stdin: "null" }));
}

async function ended(command: Deno.Command) {
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Runs the release for one target, on the base that the other builds take. */
function rehearse(...args: string[]) {
  const release = ["run", "-A", "tools/release.ts", "--rehearse", "--target", target];
  return runIn(root, Deno.execPath(), ...release, ...args);
}

/** Makes a key pair without a passphrase; returns the path of the private key. */
async function makeKey(path: string): Promise<string> {
  const { code } = await runIn("/", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path);
  assert.equal(code, 0);
  return path;
}

/** The commands of docs/install.md that verify a release, for the version that was built. */
async function documented(): Promise<string[]> {
  const text = await Deno.readTextFile(`${root}docs/install.md`);
  const commands = text.match(/^(?:ssh-keygen -Y verify|sha256sum --check).*$/gm) ?? [];
  assert.equal(commands.length, 2, commands.join("\n"));
  return commands;
}

const keygen = requirement("ssh-keygen", await works("sh", "-c", "command -v ssh-keygen"));

keygen.test("release.ts makes files that are verified as documented", async () => {
  using scratch = new TemporaryFolder();
  const key = await makeKey(`${scratch.path}/key`);
  const { code, stdout, stderr } = await rehearse("--tag", `v${version}`, "--sign", key);
  assert.equal(code, 0, stderr);
  const files = [...Deno.readDirSync(folder)].map((it) => it.name).sort();
  assert.deepEqual(files, ["SHA256SUMS", "SHA256SUMS.sig", name, `${name}.spdx.json`]);
  const [line] = /^decnet-agent namespaces="decnet-agent" ssh-ed25519 \S+$/m.exec(stdout) ?? [];
  const signers = `${folder}/allowed_signers`;
  await Deno.writeTextFile(signers, `${line}\n`);
  const verify = (command: string) => runIn(folder, "sh", "-c", command);
  for (const command of await documented()) {
    const { code, stdout, stderr } = await verify(command);
    assert.equal(code, 0, command + stderr);
    const isSignature = command.startsWith("ssh-keygen");
    assert.match(stdout, isSignature ? /^Good "decnet-agent" signature/ : /64: OK\n.*json: OK\n$/);
  }
  const [signature = ""] = await documented();
  const sums = await Deno.readTextFile(`${folder}/SHA256SUMS`);
  await Deno.writeTextFile(
    `${folder}/SHA256SUMS`,
    sums.replace(/^./, (it) => it === "0" ? "1" : "0"),
  );
  assert.notEqual((await verify(signature)).code, 0, "a forged sum");
  await Deno.writeTextFile(`${folder}/SHA256SUMS`, sums);
  assert.equal((await verify(signature)).code, 0);
  const other = await makeKey(`${scratch.path}/other`);
  for (
    const [what, signer, namespace] of [["key", other, "decnet-agent"], ["purpose", key, "file"]]
  ) {
    await Deno.remove(`${folder}/SHA256SUMS.sig`);
    const sign = ["-Y", "sign", "-f", signer!, "-n", namespace!, "SHA256SUMS"];
    assert.equal((await runIn(folder, "ssh-keygen", ...sign)).code, 0);
    assert.notEqual((await verify(signature)).code, 0, `a signature of another ${what}`);
  }
  const bom = JSON.parse(await Deno.readTextFile(`${folder}/${name}.spdx.json`));
  const [own, ...parts] = bom.packages;
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

keygen.test("release.ts refuses another tag and an absent key", async () => {
  const cases: [args: string[], why: RegExp][] = [
    [["--tag", "v99.0.0"], /^error: Cannot release v99\.0\.0: deno\.json says version \d/],
    [
      ["--sign", "/nowhere/key"],
      /^error: ssh-keygen -y ended with code 255\n.*\/nowhere\/key: No such/,
    ],
  ];
  for (const [args, why] of cases) {
    const { code, stderr } = await rehearse(...args);
    assert.equal(code, 1);
    assert.match(stderr, why);
  }
});

/** Copies the tools into a folder. */
async function copyTools(folder: string): Promise<void> {
  await Deno.mkdir(`${folder}/tools`);
  for (const name of ["deno.json", ".tool-versions"]) {
    await Deno.copyFile(root + name, `${folder}/${name}`);
  }
  for (const { name } of Deno.readDirSync(`${root}tools`)) {
    if (name.endsWith(".ts")) {
      await Deno.copyFile(`${root}tools/${name}`, `${folder}/tools/${name}`);
    }
  }
}

Deno.test("release.ts takes only a commit, and only the official runtime", async () => {
  using scratch = new TemporaryFolder();
  const cwd = scratch.path;
  await copyTools(cwd);
  // Nothing can be downloaded; the cache of the other builds may hold the same bytes.
  const env = { DENO_DIR: `${cwd}/cache`, HTTPS_PROXY: "http://127.0.0.1:1", DENORT_BIN: "" };
  const refusal = async () => {
    const args = ["run", "-A", "--no-lock", "tools/release.ts", "--target", target];
    const { code, stderr } = await ended(new Deno.Command(Deno.execPath(), { args, cwd, env }));
    assert.equal(code, 1);
    return stderr;
  };
  const git = (...args: string[]) =>
    runIn(cwd, "git", "-c", "user.name=a", "-c", "user.email=a@example.org", ...args);
  assert.match(await refusal(), /^error: Cannot release the source 'unknown': commit /);
  await git("init", "--quiet");
  await git("add", "deno.json", "tools");
  await git("commit", "--quiet", "--message=one");
  assert.match(await refusal(), /Cannot download the runtime base: /);
  await Deno.writeTextFile(`${cwd}/deno.json`, "\n", { append: true });
  assert.match(await refusal(), /^error: Cannot release the source '\w{12}\+changes [\d-]+': /);
});
