import { DatabaseSync } from "node:sqlite";

/** The agent's version, as in deno.json and the release's tag. */
export const agentVersion = "0.1.0";

/** Versions of the agent and of what it is built on. */
export function versions(): { agent: string; deno: string; sqlite: string } {
  const database = new DatabaseSync(":memory:");
  const { version } = database.prepare("SELECT sqlite_version() AS version").get()!;
  database.close();
  return { agent: agentVersion, deno: Deno.version.deno, sqlite: String(version) };
}
