import { type Authority, writeAgentDirectory } from "../../tests/certificates.ts";
import type { Subject } from "./ailment.ts";

const dayMs = 24 * 60 * 60 * 1000;

/** Puts certificates for an agent into a folder, and goes through what happens to them. */
export async function openCertificates(folder: string, authority: Authority): Promise<Subject> {
  const rotate = async (notAfter?: Date) => {
    const options = {
      commonName: "host-1",
      usage: "client",
      ...(notAfter && { notAfter }),
    } as const;
    await writeAgentDirectory(folder, authority, await authority.issue(options));
  };
  await rotate();
  const spoil = (file: string, text: string) => () => {
    Deno.writeTextFileSync(`${folder}/${file}`, text);
  };
  return {
    linesPerChange: 1,
    // Each time they are new ones.
    well: { name: "the certificates are in order", begin: () => rotate() },
    unwell: [
      { name: "the certificates are rotated", isShort: true, begin: () => rotate() },
      {
        name: "a certificate is about to expire",
        begin: () => rotate(new Date(Date.now() + 10 * dayMs)),
      },
      { name: "worker.crt is half-written", begin: spoil("worker.crt", "-----BEGIN CERT") },
      { name: "worker.key is empty", begin: spoil("worker.key", "") },
      { name: "ca.crt is gone", begin: () => Deno.removeSync(`${folder}/ca.crt`) },
    ],
  };
}
