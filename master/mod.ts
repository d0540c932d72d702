/** The way to the master: certificates and mutual TLS. */
export { hostAndPort, type MasterAddress } from "./address.ts";
export { CertificateFolder, type Certificates } from "./certificates.ts";
export { MasterClient, type MasterReply } from "./client.ts";
export { parseRetryAfter } from "./retry_after.ts";
