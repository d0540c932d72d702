import { type Check, ok } from "../check.ts";

/** What runs, and as whom. */
export const runtime: Check = {
  name: "runtime",
  code: 3,
  async run(patient) {
    const { agent, deno, sqlite } = patient.options.versions;
    const { name, uid } = patient.user;
    const saw = [
      `decnet-agent ${agent} on Deno ${deno} with SQLite ${sqlite}`,
      `user ${name} (${uid})`,
    ];
    const user = await patient.agentUser();
    if (user.uid !== uid) {
      const command = `runuser -u ${user.name} -- ${patient.options.lineOf("doctor")}`;
      saw.push(`the service runs as ${user.name}; what that user may do is seen by ${command}`);
    }
    return ok(...saw);
  },
};
