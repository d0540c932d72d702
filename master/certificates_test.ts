import assert from "node:assert/strict";
import { writeAgentDirectory } from "../tests/support/certificates.ts";
import { TemporaryFolder } from "../tests/support/environment.ts";
import { authority } from "../tests/support/master_setup.ts";
import {
  attribute,
  commonNames,
  element,
  isAuthority,
  makeCertificate,
} from "../tests/support/raw_certificates.ts";
import { CertificateFolder } from "./certificates.ts";

const soon = new Date(Date.UTC(2035, 0, 2, 3, 4, 5));
const lately = new Date(Date.UTC(2026, 0, 2, 3, 4, 5));
const first = await authority.issue({ commonName: "first", notBefore: lately, notAfter: soon });
const second = await authority.issue({ commonName: "second" });

const notRegular = "not a regular file of at most 1 MiB";

/** Runs a test on a folder that holds the first certificate, and on its path. */
async function withFolder(
  test: (folder: CertificateFolder, path: string) => Promise<void>,
): Promise<void> {
  using temporary = new TemporaryFolder();
  await writeAgentDirectory(temporary.path, authority, first);
  await test(new CertificateFolder(temporary.path), temporary.path);
}

const inFolder = {
  test: (title: string, run: Parameters<typeof withFolder>[0]) =>
    Deno.test(title, () => withFolder(run)),
};

inFolder.test("CertificateFolder.load() returns the files and their validity", async (folder) => {
  const loaded = await folder.load();
  assert.deepEqual(loaded, {
    certificates: {
      authority: authority.certificatePem,
      certificate: first.certificatePem,
      key: first.keyPem,
      validFrom: { at: lately.getTime(), file: "worker.crt" },
      validTo: { at: soon.getTime(), file: "worker.crt" },
    },
    problem: null,
  });
  assert.equal((await folder.load()).certificates, loaded.certificates);
});

Deno.test("CertificateFolder.load() reads each certificate of a chain", async () => {
  const early = await authority.issue({
    commonName: "other",
    notBefore: new Date(Date.UTC(2030, 0)),
    notAfter: new Date(Date.UTC(2034, 0)),
  });
  await withFolder(async (folder, path) => {
    await Deno.writeTextFile(`${path}/worker.crt`, first.certificatePem + early.certificatePem);
    const { validFrom, validTo } = (await folder.load()).certificates;
    assert.deepEqual(validFrom, { at: Date.UTC(2030, 0), file: "worker.crt" });
    assert.deepEqual(validTo, { at: Date.UTC(2034, 0), file: "worker.crt" });
    const earlier = await authority.issue({
      commonName: "ca",
      notBefore: new Date(Date.UTC(2031, 0)),
      notAfter: new Date(Date.UTC(2033, 0)),
    });
    await Deno.writeTextFile(`${path}/ca.crt`, authority.certificatePem + earlier.certificatePem);
    const { certificates } = await folder.load();
    assert.deepEqual(certificates.validFrom, { at: Date.UTC(2031, 0), file: "ca.crt" });
    assert.deepEqual(certificates.validTo, { at: Date.UTC(2033, 0), file: "ca.crt" });
  });
});

Deno.test("CertificateFolder.load() refuses a ca.crt of X.509 version 1", async () => {
  const old = makeCertificate({ version: 1, subject: commonNames(["old authority"]) });
  await withFolder(async (folder, path) => {
    const { certificates } = await folder.load();
    await Deno.writeTextFile(`${path}/ca.crt`, authority.certificatePem + old.certificatePem);
    const { certificates: kept, problem } = await folder.load();
    assert.equal(kept, certificates);
    assert.equal(
      problem,
      `Cannot use ${path}/ca.crt: a certificate in it is not of X.509 version 3; issue it again ` +
        "with extensions, such as basicConstraints=CA:TRUE",
    );
    await Deno.writeTextFile(`${path}/ca.crt`, old.certificatePem);
    await assert.rejects(new CertificateFolder(path).load(), { message: problem });
  });
});

Deno.test("CertificateFolder.load() accepts names that are not UTF-8", async () => {
  // Latin-1 in a T61String, and a BMPString: what authorities have written in former years.
  for (const text of [element(0x14, Uint8Array.of(0xfc)), element(0x1e, Uint8Array.of(0, 0xfc))]) {
    const name = element(0x30, element(0x31, attribute(text)));
    const signer = makeCertificate({ subject: name, extensions: [isAuthority] });
    const worker = makeCertificate({ subject: commonNames(["worker-1"]), signer });
    await withFolder(async (folder, path) => {
      await writeAgentDirectory(path, signer, worker);
      assert.equal((await folder.load()).certificates.certificate, worker.certificatePem);
    });
  }
});

Deno.test("CertificateFolder.load() names a bad file, and quotes nothing of it", async () => {
  const garbage = "-----BEGIN CERTIFICATE-----\nAAAAsecret\n-----END CERTIFICATE-----\n";
  const key = first.keyPem.replace(/[A-Z]{2}/, "secret");
  const noPem = "not valid PEM; openssl x509 or openssl pkey (-inform DER) can write it";
  const encrypted = "it is encrypted; openssl pkey -in FILE -out NEW-FILE decrypts it";
  const traditional = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n" +
    "DEK-Info: AES-256-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n";
  const cases: [name: string, content: string | null, why: string][] = [
    ["ca.crt", null, "no such file; see agent-dir"],
    ["worker.crt", null, "no such file; see agent-dir"],
    ["worker.key", null, "no such file; see agent-dir"],
    ["ca.crt", first.keyPem, noPem],
    ["worker.crt", "secret", noPem],
    ["ca.crt", garbage, noPem],
    ["worker.crt", first.certificatePem + garbage, noPem],
    ["worker.key", "", noPem],
    ["worker.key", key, noPem],
    ["worker.key", first.certificatePem, noPem],
    ["worker.key", first.keyPem.replaceAll("PRIVATE", "ENCRYPTED PRIVATE"), encrypted],
    ["worker.key", traditional, encrypted],
    ["ca.crt", " ".repeat(2 ** 20) + authority.certificatePem, notRegular],
  ];
  for (const [name, content, why] of cases) {
    await withFolder(async (folder, path) => {
      if (content === null) await Deno.remove(`${path}/${name}`);
      else await Deno.writeTextFile(`${path}/${name}`, content);
      await assert.rejects(folder.load(), { message: `Cannot use ${path}/${name}: ${why}` });
    });
  }
});

inFolder.test("CertificateFolder.load() refuses a file as the folder", async (_folder, path) => {
  await assert.rejects(new CertificateFolder(`${path}/ca.crt`).load(), {
    message: `Cannot use ${path}/ca.crt/ca.crt: a part of its path is not a folder`,
  });
});

Deno.test("CertificateFolder.load() refuses folders, devices and pipes", async () => {
  const kinds: [name: string, make: (path: string) => void][] = [
    ["worker.key", (path) => Deno.mkdirSync(path)],
    ["ca.crt", (path) => Deno.symlinkSync("/dev/zero", path)],
    // Opening a named pipe waits for a writer.
    [
      "worker.crt",
      (path) => assert.ok(new Deno.Command("mkfifo", { args: [path] }).outputSync().success),
    ],
  ];
  for (const [name, make] of kinds) {
    await withFolder(async (folder, path) => {
      await Deno.remove(`${path}/${name}`);
      make(`${path}/${name}`);
      await assert.rejects(folder.load(), { message: `Cannot use ${path}/${name}: ${notRegular}` });
    });
  }
});

inFolder.test("CertificateFolder.load() takes a new pair when both came", async (folder, path) => {
  const { certificates: old } = await folder.load();
  await Deno.writeTextFile(`${path}/worker.crt`, second.certificatePem);
  const problem =
    `Cannot use ${path}: worker.key does not fit worker.crt; put there what was issued together`;
  for (let times = 0; times < 2; times++) {
    const between = await folder.load();
    assert.equal(between.certificates, old);
    assert.equal(between.problem, problem);
  }
  await Deno.writeTextFile(`${path}/worker.key`, second.keyPem);
  const { certificates, problem: none } = await folder.load();
  assert.equal(none, null);
  assert.equal(certificates.certificate, second.certificatePem);
  assert.equal(certificates.key, second.keyPem);
});

inFolder.test("CertificateFolder.load() takes renamed files", async (folder, path) => {
  await folder.load();
  const { certificatePem, keyPem } = second;
  for (const [name, content] of [["worker.crt", certificatePem], ["worker.key", keyPem]]) {
    const { mtime } = await Deno.stat(`${path}/${name}`);
    await Deno.writeTextFile(`${path}/new`, content!, { mode: 0o600 });
    // As `cp --preserve` and some tools that distribute files do.
    await Deno.utime(`${path}/new`, mtime!, mtime!);
    await Deno.rename(`${path}/new`, `${path}/${name}`);
  }
  assert.equal((await folder.load()).certificates.certificate, certificatePem);
});

Deno.test("CertificateFolder.load() refuses a key that every user can read", async () => {
  for (const mode of [0o604, 0o602, 0o601, 0o644, 0o666]) {
    await withFolder(async (folder, path) => {
      await Deno.chmod(`${path}/worker.key`, mode);
      await assert.rejects(folder.load(), {
        message:
          `Cannot use ${path}/worker.key: every user of this host can read it; remove that right (chmod o=)`,
      });
      await new Deno.Command("chmod", { args: ["o=", `${path}/worker.key`] }).output();
      await folder.load();
      // A group may read it.
      await Deno.chmod(`${path}/worker.key`, 0o640);
      await folder.load();
    });
  }
});

const names = ["ca.crt", "worker.crt", "worker.key"] as const;

/** Puts other files in place as soon as one of these names was read, as a renewal may do. */
function replaceAfter(name: string, replace: () => void): Disposable {
  const { readTextFileSync } = Deno;
  let isDone = false;
  Deno.readTextFileSync = (path) => {
    const text = readTextFileSync(path);
    if (!isDone && String(path).endsWith(`/${name}`)) {
      isDone = true;
      replace();
    }
    return text;
  };
  return { [Symbol.dispose]: () => void (Deno.readTextFileSync = readTextFileSync) };
}

for (const name of names) {
  Deno.test(`CertificateFolder.load() reads one set if it changes after ${name}`, async () => {
    // A folder that has loaded nothing yet, as in a check, has no old files to return.
    await withFolder(async (folder, path) => {
      {
        using _ = replaceAfter(name, () => {
          Deno.writeTextFileSync(`${path}/worker.crt`, second.certificatePem);
          Deno.writeTextFileSync(`${path}/worker.key`, second.keyPem);
        });
        const { certificates, problem } = await folder.load();
        const { certificatePem, keyPem } = name === "worker.key" ? first : second;
        assert.equal(certificates.certificate, certificatePem);
        assert.equal(certificates.key, keyPem);
        assert.equal(problem, null);
      }
      assert.equal((await folder.load()).certificates.certificate, second.certificatePem);
    });
  });
}
