import assert from "node:assert/strict";
import {
  createAuthority,
  type IssuedCertificate,
  writeAgentDirectory,
} from "../tests/certificates.ts";
import { TemporaryFolder } from "../tests/temporary_folder.ts";
import { CertificateFolder } from "./certificates.ts";

const authority = await createAuthority("test authority");
const soon = new Date(Date.UTC(2035, 0, 2, 3, 4, 5));
const first = await authority.issue({ commonName: "first", notAfter: soon });
const second = await authority.issue({ commonName: "second" });

/** Runs a test on a folder that holds the first certificate, and on its path. */
async function withFolder(
  test: (folder: CertificateFolder, path: string) => Promise<void>,
): Promise<void> {
  using temporary = new TemporaryFolder();
  await writeAgentDirectory(temporary.path, authority, first);
  await test(new CertificateFolder(temporary.path), temporary.path);
}

Deno.test("CertificateFolder.load() answers the files and when the first of them expires", async () => {
  await withFolder(async (folder) => {
    assert.deepEqual(await folder.load(), {
      certificates: {
        authority: authority.certificatePem,
        certificate: first.certificatePem,
        key: first.keyPem,
        expiresAt: soon.getTime(),
      },
      problem: null,
    });
  });
});

Deno.test("CertificateFolder.load() looks at each certificate of a chain for the expiry", async () => {
  const early = await authority.issue({
    commonName: "other",
    notAfter: new Date(Date.UTC(2034, 0)),
  });
  await withFolder(async (folder, path) => {
    await Deno.writeTextFile(`${path}/worker.crt`, first.certificatePem + early.certificatePem);
    assert.equal((await folder.load()).certificates.expiresAt, Date.UTC(2034, 0));
    const earlier = await authority.issue({
      commonName: "ca",
      notAfter: new Date(Date.UTC(2020, 0)),
    });
    await Deno.writeTextFile(`${path}/ca.crt`, authority.certificatePem + earlier.certificatePem);
    assert.equal((await folder.load()).certificates.expiresAt, Date.UTC(2020, 0));
  });
});

Deno.test("CertificateFolder.load() takes text around the PEM blocks and CRLF", async () => {
  await withFolder(async (folder, path) => {
    const commented = `# the authority\n\n${authority.certificatePem}\n# the end`;
    await Deno.writeTextFile(`${path}/ca.crt`, commented.replaceAll("\n", "\r\n"));
    assert.equal((await folder.load()).problem, null);
  });
});

Deno.test("CertificateFolder.load() answers the same object while nothing has changed", async () => {
  await withFolder(async (folder) => {
    const { certificates } = await folder.load();
    assert.equal((await folder.load()).certificates, certificates);
  });
});

Deno.test("CertificateFolder.load() names the file that is of no use, and quotes nothing of it", async () => {
  const garbage = "-----BEGIN CERTIFICATE-----\nAAAAsecret\n-----END CERTIFICATE-----\n";
  const key = first.keyPem.replace(/[A-Z]{2}/, "secret");
  const cases: [name: string, content: string | null, why: string][] = [
    ["ca.crt", null, "no such file"],
    ["worker.crt", null, "no such file"],
    ["worker.key", null, "no such file"],
    ["ca.crt", "", "no PEM certificate in it"],
    ["ca.crt", first.keyPem, "no PEM certificate in it"],
    ["worker.crt", "secret", "no PEM certificate in it"],
    ["ca.crt", garbage, "not valid PEM"],
    ["worker.crt", garbage, "not valid PEM"],
    ["worker.crt", first.certificatePem + garbage, "not valid PEM"],
    ["worker.key", "", "not valid PEM"],
    ["worker.key", key, "not valid PEM"],
    ["worker.key", first.certificatePem, "not valid PEM"],
  ];
  for (const [name, content, why] of cases) {
    await withFolder(async (folder, path) => {
      if (content === null) await Deno.remove(`${path}/${name}`);
      else await Deno.writeTextFile(`${path}/${name}`, content);
      await assert.rejects(folder.load(), { message: `Cannot use ${path}/${name}: ${why}` });
    });
  }
});

Deno.test("CertificateFolder.load() refuses a folder that is absent, and a folder in place of a file", async () => {
  await assert.rejects(new CertificateFolder("/nowhere").load(), {
    message: "Cannot use /nowhere/ca.crt: no such file",
  });
  await withFolder(async (folder, path) => {
    await Deno.remove(`${path}/worker.key`);
    await Deno.mkdir(`${path}/worker.key`);
    await assert.rejects(folder.load(), /worker\.key: /);
  });
});

Deno.test("CertificateFolder.load() refuses a key that does not fit the certificate", async () => {
  await withFolder(async (folder, path) => {
    await Deno.writeTextFile(`${path}/worker.key`, second.keyPem);
    await assert.rejects(folder.load(), {
      message: `Cannot use ${path}: worker.key does not fit worker.crt`,
    });
  });
});

Deno.test("CertificateFolder.load() takes up a new pair when both halves have come", async () => {
  await withFolder(async (folder, path) => {
    const { certificates: old } = await folder.load();
    await Deno.writeTextFile(`${path}/worker.crt`, second.certificatePem);
    const problem = `Cannot use ${path}: worker.key does not fit worker.crt`;
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
});

Deno.test("CertificateFolder.load() keeps the old ones while a file is absent or cut off", async () => {
  const breaks: [why: RegExp, harm: (path: string) => Promise<void>][] = [
    [/worker\.key: no such file$/, (path) => Deno.remove(`${path}/worker.key`)],
    [/ca\.crt: no PEM/, (path) => Deno.writeTextFile(`${path}/ca.crt`, "")],
    [
      /worker\.crt: no PEM/,
      (path) => Deno.writeTextFile(`${path}/worker.crt`, first.certificatePem.slice(0, 99)),
    ],
  ];
  for (const [why, harm] of breaks) {
    await withFolder(async (folder, path) => {
      const { certificates: old } = await folder.load();
      await harm(path);
      const broken = await folder.load();
      assert.equal(broken.certificates, old);
      assert.match(broken.problem ?? "", why);
      await writeAgentDirectory(path, authority, second);
      const mended = await folder.load();
      assert.equal(mended.problem, null);
      assert.equal(mended.certificates.certificate, second.certificatePem);
    });
  }
});

Deno.test("CertificateFolder.load() takes up files that a rename has exchanged", async () => {
  await withFolder(async (folder, path) => {
    await folder.load();
    await replaceByRename(path, second);
    assert.equal((await folder.load()).certificates.certificate, second.certificatePem);
  });
});

async function replaceByRename(path: string, { certificatePem, keyPem }: IssuedCertificate) {
  for (const [name, content] of [["worker.crt", certificatePem], ["worker.key", keyPem]]) {
    const { mtime } = await Deno.stat(`${path}/${name}`);
    await Deno.writeTextFile(`${path}/new`, content!);
    // As `cp --preserve` and some tools that distribute files do.
    await Deno.utime(`${path}/new`, mtime!, mtime!);
    await Deno.rename(`${path}/new`, `${path}/${name}`);
  }
}
