import assert from "node:assert/strict";
import { CertificateFolder } from "../master/mod.ts";
import { writeAgentDirectory } from "./certificates.ts";
import { authority } from "./master_setup.ts";
import { TemporaryFolder } from "./temporary_folder.ts";

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
  Deno.test(`CertificateFolder.load() takes new files whole that come when ${name} was read already`, async () => {
    using folder = new TemporaryFolder();
    const { path } = folder;
    const [old, renewed] = await Promise.all(
      ["old", "renewed"].map((commonName) => authority.issue({ commonName })),
    );
    await writeAgentDirectory(path, authority, old!);
    const replace = () => {
      Deno.writeTextFileSync(`${path}/worker.crt`, renewed!.certificatePem);
      Deno.writeTextFileSync(`${path}/worker.key`, renewed!.keyPem);
    };
    // One that has loaded nothing yet, as in a check, has no old ones to go on with.
    const fresh = new CertificateFolder(path);
    {
      using _ = replaceAfter(name, replace);
      const { certificates, problem } = await fresh.load();
      const isOld = name === "worker.key";
      assert.equal(certificates.certificate, (isOld ? old! : renewed!).certificatePem);
      assert.equal(certificates.key, (isOld ? old! : renewed!).keyPem);
      assert.equal(problem, null);
    }
    assert.equal((await fresh.load()).certificates.certificate, renewed!.certificatePem);
  });
}
