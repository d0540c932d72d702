/** The stand-in master in a process of its own: FOLDER PORT. It writes certificates for a host. */
import { createAuthority, writeAgentDirectory } from "../../tests/certificates.ts";
import { TlsMaster } from "../../tests/tls_master.ts";

const [folder, port] = Deno.args as [string, string];
const authority = await createAuthority("bench");
const names = { commonName: "master", dnsNames: ["master.test"] };
const certificate = await authority.issue({ ...names, usage: "server" });
await TlsMaster.start({ authority, certificate, port: Number(port) });
const worker = await authority.issue({ commonName: "bench", usage: "client" });
await writeAgentDirectory(folder, authority, worker);
