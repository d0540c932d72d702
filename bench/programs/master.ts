/**
 * The stand-in master in a process of its own: FOLDER. It writes its port to FOLDER/port, and then
 * certificates for a host.
 */

import { createAuthority, writeAgentDirectory } from "../../tests/support/certificates.ts";
import { TlsMaster } from "../../tests/support/tls_master.ts";

const [folder] = Deno.args as [string];
const authority = await createAuthority("bench");
const names = { commonName: "master", dnsNames: ["master.test"] };
const certificate = await authority.issue({ ...names, usage: "server" });
const { port } = await TlsMaster.start({ authority, certificate });
await Deno.writeTextFile(`${folder}/port`, String(port));
const worker = await authority.issue({ commonName: "bench", usage: "client" });
await writeAgentDirectory(folder, authority, worker);
