/** The way to the master: certificates and mutual TLS. */
export { CertificateFolder, type Certificates, type LoadedCertificates } from "./certificates.ts";
export { hostAndPort, type MasterAddress, MasterClient, type MasterReply } from "./client.ts";
export { parseRetryAfter } from "./retry_after.ts";
