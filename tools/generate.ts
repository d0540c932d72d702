/**
 * Writes the files of `decnet-agent print` into packaging/, and docs/configuration.md from the table of
 * options: `deno run -q -A tools/generate.ts`
 *
 * @module
 */

import type { PrintableFile } from "../cli/args.ts";
import { keys } from "../cli/help.ts";
import { textOf } from "../cli/print.ts";
import { systemPaths } from "../host/files.ts";
import type { KeyText } from "../packaging/config.ts";

/** Returns docs/configuration.md; its lines are not wrapped yet. */
export function configurationReference(keys: readonly KeyText[]): string {
  return `# Configuration

All configuration keys. \`tools/generate.ts\` makes this page from the table of \`decnet-agent --help\`.

Each key is a flag, an environment variable and a key of the ini file. Precedence: flag, environment,
file, default. An empty variable counts as not set. A value that is not allowed is refused, with the
place where it is set; \`--once\` prints that and exits with 3.

The ini file is \`${systemPaths.config}\`, or the FILE of \`--config FILE\`; \`/dev/null\` is none. The keys are in its section
\`[agent]\`. Lines that begin with \`#\` or \`;\` are comments. An unknown key is ignored, with a
warning. The file that the master issues works as it is: its \`agent-port\` sets the default of [\`listen\`](#listen), and \`updater-dir\`, \`swarm-syslog-port\` and the section \`[decnet]\` have no effect here. \`decnet-agent print config\` prints a file with every key as a comment
([packaging/decnet.ini](../packaging/decnet.ini)).

| key | variable | default |
| --- | --- | --- |
${keys.map(row).join("\n")}

${keys.map(entry).join("\n")}`;
}

function row(key: KeyText): string {
  const { name, variable } = key;
  return `| [\`${name}\`](#${name}) | \`${variable}\` | ${defaultOf(key)} |`;
}

function entry(key: KeyText): string {
  const { name, variable, placeholder, summary, allowed } = key;
  return `## \`${name}\`

${summary.charAt(0).toUpperCase()}${summary.slice(1)}.

- Flag: \`--${name} ${placeholder}\`
- Variable: \`${variable}\`
- Ini file: \`${name} = …\`
- Default: ${defaultOf(key)}
- Allowed: ${markCode(allowed)}
`;
}

function defaultOf(key: KeyText): string {
  return key.value === null ? markCode(key.fallback!) : `\`${key.value}\``;
}

/** Marks paths, variables and addresses as code. */
function markCode(text: string): string {
  const code = /(?<=^|[\s(])(?:[$~]?\/[\w./-]*\w|\$[A-Z_]+[\w/-]*|unix:\/\/|[[\d][\d.:\]]+:\d+)/g;
  return text.replace(code, "`$&`");
}

const root = new URL("../", import.meta.url);

/** The path of the executable in the generated files. */
const usualPath = "/usr/local/bin/decnet-agent";

/** Returns all generated files, by their paths from the root. */
export async function generatedFiles(): Promise<Map<string, string>> {
  const printed = (what: PrintableFile) => textOf(what, usualPath);
  return new Map([
    ["packaging/decnet-agent.service", printed("systemd-service")],
    ["packaging/decnet-agent-check.service", printed("systemd-check-service")],
    ["packaging/decnet-agent-check.timer", printed("systemd-check-timer")],
    ["packaging/decnet-agent.cron", printed("cron")],
    ["packaging/decnet.ini", printed("config")],
    ["packaging/decnet-agent.bash", printed("completion")],
    ["docs/configuration.md", await formatted(configurationReference(keys))],
  ]);
}

/** Formats Markdown as `deno fmt` does. */
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
  if (!success) throw new Error("Cannot format Markdown");
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  for (const [path, text] of await generatedFiles()) {
    await Deno.writeTextFile(new URL(path, root), text);
  }
}
