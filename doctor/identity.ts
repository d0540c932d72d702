import type { X509Certificate } from "node:crypto";
import { CertificateFolder, type Certificates } from "../master/mod.ts";
import { splitChain } from "../master/handshake.ts";

/** The certificates of this host, parsed, or why they are of no use. */
export type Identity =
  | {
    readonly certificates: Certificates;
    /** This host's own certificate first. */
    readonly chain: readonly [X509Certificate, ...X509Certificate[]];
    readonly authorities: readonly X509Certificate[];
  }
  | { readonly problem: string };

/** Reads the three files as the agent does. */
export async function readIdentity(folder: string): Promise<Identity> {
  try {
    const { certificates } = await new CertificateFolder(folder).load();
    const { X509Certificate } = await import("node:crypto");
    const parse = (pem: string) => splitChain(pem).map((block) => new X509Certificate(block));
    const chain = parse(certificates.certificate) as [X509Certificate, ...X509Certificate[]];
    return { certificates, chain, authorities: parse(certificates.authority) };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

/** The common name in a certificate, or all of the name where there is none. */
export function commonName(distinguishedName: string): string {
  return /^CN=(.*)$/m.exec(distinguishedName)?.[1] ?? distinguishedName.replaceAll("\n", ", ");
}
