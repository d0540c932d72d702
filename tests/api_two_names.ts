// One of the dependencies refuses to load without it.
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import type { Identity } from "../api/tls_server.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A certificate with several common names, good for both ends, and the authority that signed it. */
export async function certificateOfNames(
  names: readonly string[],
): Promise<Identity & { readonly authorityKey: string }> {
  const authorityKeys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [...names].slice(0, 1) }],
    keys: authorityKeys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  const leaf = await x509.X509CertificateGenerator.create({
    subject: names.map((name) => ({ CN: [name] })),
    issuer: root.subjectName,
    publicKey: keys.publicKey,
    signingKey: authorityKeys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.SubjectAlternativeNameExtension([{ type: "ip", value: "127.0.0.1" }]),
    ],
  });
  const keyOf = async ({ privateKey }: CryptoKeyPair) =>
    x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", privateKey), "PRIVATE KEY");
  return {
    authority: root.toString("pem"),
    certificate: leaf.toString("pem"),
    key: await keyOf(keys),
    authorityKey: await keyOf(authorityKeys),
  };
}
