import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
// One of the dependencies refuses to load without it.
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { explainDistrust } from "./distrust.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const now = Date.UTC(2026, 10, 22, 10);
const hour = (hours: number) => new Date(now + hours * 3_600_000);

interface Link {
  readonly certificate: X509Certificate;
  readonly keys: CryptoKeyPair;
}

/** A certificate that is valid for so many hours from now, and signs itself unless told. */
async function link(
  name: string,
  { issuer, from = -1, to = 1 }: { issuer?: Link; from?: number; to?: number } = {},
): Promise<Link> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: "01",
    subject: [{ CN: [name] }],
    issuer: issuer?.certificate.subject ?? [{ CN: [name] }],
    notBefore: hour(from),
    notAfter: hour(to),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: (issuer?.keys ?? keys).privateKey,
  });
  return { certificate: new X509Certificate(made.toString("pem")), keys };
}

/** What is said of a master that presents this chain to a host that trusts these. */
function explain(chain: [Link, ...Link[]], authorities: Link[], at = now): string {
  const [own, ...others] = chain.map(({ certificate }) => certificate);
  return explainDistrust([own!, ...others], authorities.map((it) => it.certificate), at);
}

const root = await link("root");
const twin = await link("root");
const middle = await link("middle", { issuer: root });
const oldMiddle = await link("middle", { issuer: root, from: -9, to: -2 });

const notSigned = (name: string, issuer: string) =>
  `is not signed by ca.crt: it bears the name "${name}", and as its issuer "${issuer}"; ca.crt must ` +
  "hold the certificate of the master's authority";
const unfit = "its certificate is signed by ca.crt and valid now, but not fit for a server; " +
  "openssl x509 -text shows its key usage and its constraints";
const clock = "this host's clock says 2026-11-22T10:00:00Z";

Deno.test("explainDistrust() says what is wrong with the master's certificate", async () => {
  const leaf = await link("m", { issuer: root });
  assert.equal(explain([leaf], [root]), unfit);
  assert.equal(explain([leaf], [twin, root]), unfit);
  assert.equal(explain([leaf], [twin]), `its certificate ${notSigned("m", "root")}`);
  assert.equal(explain([leaf], []), `its certificate ${notSigned("m", "root")}`);
  assert.equal(explain([leaf, root], [twin]), `its certificate ${notSigned("m", "root")}`);
  assert.equal(explain([root], [twin]), `its certificate ${notSigned("root", "root")}`);
});

Deno.test("explainDistrust() shows the validity and the clock of a certificate out of its time", async () => {
  const old = await link("m", { issuer: root, from: -4, to: -2 });
  const expired = "its certificate has expired: it is valid from 2026-11-22T06:00:00Z to " +
    `2026-11-22T08:00:00Z, and ${clock}; renew it, or set the clock that is wrong`;
  assert.equal(explain([old], [root]), expired);
  assert.equal(explain([old], [twin]), `${expired}; besides, it ${notSigned("m", "root")}`);
  const early = await link("m", { issuer: root, from: 2, to: 4 });
  assert.equal(
    explain([early], [root]),
    "its certificate is not valid yet: it is valid from 2026-11-22T12:00:00Z to " +
      `2026-11-22T14:00:00Z, and ${clock}; set the clock that is wrong`,
  );
});

Deno.test("explainDistrust() follows the chain that the master presents", async () => {
  const leaf = await link("m", { issuer: middle });
  assert.equal(explain([leaf, middle], [root]), unfit);
  assert.equal(explain([leaf, twin, middle, root], [root]), unfit);
  assert.equal(explain([leaf], [root]), `its certificate ${notSigned("m", "middle")}`);
  assert.equal(explain([leaf, middle], [twin]), `its certificate ${notSigned("m", "middle")}`);
  const below = await link("m", { issuer: oldMiddle });
  assert.equal(
    explain([below, oldMiddle], [root]),
    'the certificate of its issuer "middle" has expired: it is valid from 2026-11-22T01:00:00Z to ' +
      `2026-11-22T08:00:00Z, and ${clock}; renew it, or set the clock that is wrong`,
  );
});

Deno.test("explainDistrust() repeats little of a name, and breaks no line with it", async () => {
  const text = explain([await link(`a\n"b" ${"x".repeat(200)}`)], [root]);
  assert.ok(!text.includes("\n") && text.length < 330, text);
});
