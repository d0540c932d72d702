import { DatabaseSync } from "node:sqlite";
import manifest from "../deno.json" with { type: "json" };

/** The agent's version, as in the release's tag. */
export const agentVersion = manifest.version;

/** Versions of the agent and of what it is built on. */
export function versions(): { agent: string; deno: string; sqlite: string } {
  const database = new DatabaseSync(":memory:");
  const { version } = database.prepare("SELECT sqlite_version() AS version").get()!;
  database.close();
  return { agent: agentVersion, deno: Deno.version.deno, sqlite: String(version) };
}
