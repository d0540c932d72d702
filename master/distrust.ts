import type { X509Certificate } from "node:crypto";
import type { MasterAddress } from "./address.ts";
import { splitChain } from "./certificates.ts";
import type { TlsModules } from "./https_agent.ts";
import { type LookOptions, presentedCertificates } from "./presented_certificates.ts";

/** How much of a name that a stranger may have chosen is repeated, in characters. */
const keptNameLength = 64;

/** Looks at a master that `authority` (PEM) does not trust: why not, or null when that stays unknown. */
export async function distrustOf(
  modules: TlsModules,
  address: MasterAddress,
  { authority, ...bounds }: LookOptions & { readonly authority: string },
): Promise<string | null> {
  try {
    const { X509Certificate } = await import("node:crypto");
    const [own, ...others] = await presentedCertificates(modules, address, bounds);
    if (!own) return null;
    const authorities = splitChain(authority).map((block) => new X509Certificate(block));
    return explainDistrust([own, ...others], authorities, Date.now());
  } catch {
    // Whatever a stranger presents, the operator gets the reason that is known without it.
    return null;
  }
}

/**
 * Why a master that presents `chain`, its own certificate first, is not trusted by `authorities`, in
 * words for an operator. `now` is in milliseconds since 1970.
 */
export function explainDistrust(
  chain: readonly [X509Certificate, ...X509Certificate[]],
  authorities: readonly X509Certificate[],
  now: number,
): string {
  const { path, isSigned } = pathOf(chain, authorities);
  const isOwn = (it: X509Certificate) => it === chain[0];
  const foreign =
    `is not signed by ca.crt: it bears the name ${nameIn(chain[0].subject)}, and as ` +
    `its issuer ${
      nameIn(chain[0].issuer)
    }; ca.crt must hold the certificate of the master's authority`;
  const invalid = path.find((it) => from(it) > now || to(it) < now);
  if (!invalid) {
    return isSigned
      ? "its certificate is signed by ca.crt and valid now, but not fit for a server; " +
        "openssl x509 -text shows its key usage and its constraints"
      : `its certificate ${foreign}`;
  }
  const whose = isOwn(invalid)
    ? "its certificate"
    : `the certificate of its issuer ${nameIn(invalid.subject)}`;
  const isEarly = from(invalid) > now;
  return `${whose} ${isEarly ? "is not valid yet" : "has expired"}: it is valid from ` +
    `${timeOf(from(invalid))} to ${timeOf(to(invalid))}, and this host's clock says ` +
    `${timeOf(now)}; ${isEarly ? "" : "renew it, or "}set the clock that is wrong` +
    (isSigned ? "" : `; besides, it ${foreign}`);
}

/** Whether one of `authorities` has signed the first of `chain`, or another of it that leads to it. */
export function isSignedBy(
  chain: readonly [X509Certificate, ...X509Certificate[]],
  authorities: readonly X509Certificate[],
): boolean {
  return pathOf(chain, authorities).isSigned;
}

/** The certificates from the master's own one towards an authority, and whether they lead to one. */
function pathOf(
  [own, ...others]: readonly [X509Certificate, ...X509Certificate[]],
  authorities: readonly X509Certificate[],
): { path: X509Certificate[]; isSigned: boolean } {
  const path = [own];
  for (let last = own;;) {
    if (authorities.some((it) => hasSigned(it, last))) return { path, isSigned: true };
    const next = others.find((it) => !path.includes(it) && hasSigned(it, last));
    if (!next) return { path, isSigned: false };
    path.push(last = next);
  }
}

function hasSigned(issuer: X509Certificate, subject: X509Certificate): boolean {
  try {
    return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
  } catch {
    // A kind of key that the runtime does not know.
    return false;
  }
}

function from({ validFrom }: X509Certificate): number {
  return Date.parse(validFrom);
}

function to({ validTo }: X509Certificate): number {
  return Date.parse(validTo);
}

function nameIn(distinguishedName: string | undefined): string {
  const name = distinguishedName?.match(/^CN=(.*)$/m)?.[1] ?? distinguishedName ?? "";
  return JSON.stringify(name.slice(0, keptNameLength).toWellFormed());
}

function timeOf(ms: number): string {
  return Number.isNaN(ms) ? "an unknown time" : new Date(ms).toISOString().replace(/\.\d+/, "");
}
