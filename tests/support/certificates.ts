import {
  alternatives,
  commonNames,
  extension,
  generalName,
  isAuthority,
  makeCertificate,
} from "./raw_certificates.ts";

const hourMs = 3_600_000;
const yearMs = 365 * 24 * hourMs;

/** What a throw-away certificate is to say; the validity is from one hour ago for one year unless told. */
export interface IssueOptions {
  commonName: string;
  dnsNames?: string[];
  ipAddresses?: string[];
  notBefore?: Date;
  notAfter?: Date;
  /** Which side of a connection may use it; default `both`. */
  usage?: "server" | "client" | "both";
}

/** A certificate with its key (PEM, key in PKCS8) and the SHA-256 of its DER in lower-case hex. */
export interface IssuedCertificate {
  certificatePem: string;
  keyPem: string;
  fingerprint: string;
}

/** A certificate authority that can issue any number of certificates. */
export interface Authority {
  certificatePem: string;
  issue(options: IssueOptions): Promise<IssuedCertificate>;
}

/** Makes a self-signed authority, valid for ten years to either side of now unless told. */
export function createAuthority(name: string, notAfter?: Date): Promise<Authority> {
  const root = makeCertificate({
    subject: commonNames([name]),
    // Wide, so that a leaf made to be expired or not yet valid is refused for its own dates.
    from: -10 * yearMs,
    to: fromNow(notAfter) ?? 10 * yearMs,
    extensions: [isAuthority],
  });

  function issue(options: IssueOptions): Promise<IssuedCertificate> {
    const { commonName, dnsNames = [], ipAddresses = [], usage = "both" } = options;
    const names = [...dnsNames.map(generalName.dns), ...ipAddresses.map(addressName)];
    const leaf = makeCertificate({
      subject: commonNames([commonName]),
      from: fromNow(options.notBefore) ?? -hourMs,
      to: fromNow(options.notAfter) ?? yearMs - hourMs,
      extensions: [
        extension(37, Uint8Array.fromHex(purposes[usage])),
        // An empty list of names would be malformed DER.
        ...(names.length > 0 ? [alternatives(...names)] : []),
      ],
      signer: root,
    });
    return Promise.resolve(leaf);
  }

  return Promise.resolve({ certificatePem: root.certificatePem, issue });
}

/** The lists of serverAuth, clientAuth and both. */
const purposes = {
  server: "300a06082b06010505070301",
  client: "300a06082b06010505070302",
  both: "301406082b0601050507030106082b06010505070302",
} as const;

/** An IPv4 address, or `::1`. */
function addressName(text: string): Uint8Array {
  return text === "::1"
    ? generalName.address(...Array(15).fill(0), 1)
    : generalName.address(...text.split(".").map(Number));
}

function fromNow(date: Date | undefined): number | undefined {
  return date && date.getTime() - Date.now();
}

/** Writes `ca.crt`, `worker.crt` and `worker.key` (mode 0600) into an existing directory. */
export async function writeAgentDirectory(
  directory: string,
  authority: Pick<Authority, "certificatePem">,
  worker: IssuedCertificate,
): Promise<void> {
  await Deno.writeTextFile(`${directory}/ca.crt`, authority.certificatePem);
  await Deno.writeTextFile(`${directory}/worker.crt`, worker.certificatePem);
  await Deno.writeTextFile(`${directory}/worker.key`, worker.keyPem, { mode: 0o600 });
  // The mode above counts only for a new file.
  await Deno.chmod(`${directory}/worker.key`, 0o600);
}
