/**
 * Writes what `decnet-agent print` prints into packaging/, to be read there, and the reference of the
 * configuration, which is made of the same tables: `deno run -q -A scripts/packaging.ts`
 *
 * @module
 */
import { textOf } from "../cli/print.ts";
import { tables } from "../cli/tables.ts";
import { checkService, checkTimer } from "../packaging/mod.ts";
import { configurationReference } from "./packaging/configuration_reference.ts";

const root = new URL("../", import.meta.url);

/** Where the executable is in what is only to be read. */
export const usualPath = "/usr/local/bin/decnet-agent";

/** All generated files, by their paths from the root. */
export async function generatedFiles(): Promise<Map<string, string>> {
  const printed = (what: Parameters<typeof textOf>[0]["what"]) =>
    textOf({ what, shell: null }, usualPath);
  const completion = (shell: "bash" | "zsh" | "fish") =>
    textOf({ what: "completion", shell }, usualPath);
  return new Map([
    ["packaging/decnet-agent.service", printed("systemd-service")],
    ["packaging/decnet-agent-check.service", checkService(usualPath)],
    ["packaging/decnet-agent-check.timer", checkTimer()],
    ["packaging/decnet-agent.cron", printed("cron")],
    ["packaging/decnet.ini", printed("config")],
    ["packaging/decnet-agent.1", printed("man")],
    ["packaging/decnet-agent.bash", completion("bash")],
    ["packaging/_decnet-agent", completion("zsh")],
    ["packaging/decnet-agent.fish", completion("fish")],
    ["docs/configuration.md", await formatted(configurationReference(tables.keys))],
  ]);
}

/** Markdown as `deno fmt` leaves it. */
async function formatted(markdown: string): Promise<string> {
  const formatter = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", "--ext=md", "-"],
    cwd: root,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = formatter.stdin.getWriter();
  await writer.write(new TextEncoder().encode(markdown));
  await writer.close();
  const { success, stdout } = await formatter.output();
  if (!success) throw new Error("Cannot format the reference of the configuration");
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  for (const [path, text] of await generatedFiles()) {
    await Deno.writeTextFile(new URL(path, root), text);
  }
}
