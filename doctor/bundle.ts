import { look, quote } from "./files.ts";
import type { Patient } from "./patient.ts";

/** Where the service and every other user find the certificates, once it exists. */
const systemFolder = "/etc/decnet/agent";

/** The command that takes files from what the master has issued for this host. */
export async function installFromBundle(patient: Patient, ...files: string[]): Promise<string> {
  const { agentDirectory } = patient.options.agent;
  const user = await patient.agentUser();
  const owner = user.uid === 0 ? "" : `-o ${user.name} `;
  const mode = files.includes("worker.key") ? "600" : "644";
  const sources = files.map((it) => `BUNDLE/${it}`).join(" ");
  if (await look(agentDirectory) !== "absent") {
    return `install ${owner}-m ${mode} ${sources} ${quote(`${agentDirectory}/`)}`;
  }
  const make = (folder: string) => `install -D ${owner}-m ${mode} -t ${quote(folder)} ${sources}`;
  const isConfigured = patient.options.settings.some(({ key }) => key === "agent-dir");
  const service = await patient.service();
  if (isConfigured || (patient.user.uid !== 0 && service.unit === null)) {
    return make(agentDirectory);
  }
  // Nobody but this user would look into this user's home, and the service's user has none.
  const restart = service.isActive ? " && systemctl restart decnet-agent" : "";
  return make(systemFolder) + restart;
}
