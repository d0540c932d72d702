/**
 * Writes packaging/decnet.ini, the completion for bash and docs/configuration.md from the tables of
 * commands and options: `deno run -q -A tools/generate.ts`
 *
 * @module
 */

import { printables } from "../cli/args.ts";
import { commands, flags, keys, type KeyText } from "../cli/help.ts";
import type { KeyName } from "../cli/options.ts";
import { systemPaths } from "../host/files.ts";
import { bashCompletion } from "./bash_completion.ts";

/** When an operator sets a key; completes "Set it …". */
const occasions: Record<KeyName, string> = {
  "master-host": "on each host that has one",
  "swarmctl-port": "when the master's controller listens on another port",
  "master-name": "when its certificate has another name",
  "master-fingerprint": "to pin one certificate, whatever else the authority signs",
  "host-uuid": "to the id that the master has issued",
  "agent-dir": "when the files are elsewhere",
  "state-dir": "when `/var` must not be written",
  "docker-host": "when another engine is found first, or none",
  "interval": "when the master expects heartbeats at another pace",
  "log-level": "to `debug` while you look for a fault, to `warn` to be told of problems only",
  "network-prefix": "when networks of an older agent have other names",
  "container-prefix": "when containers of an older agent have other names",
  "base-image": "when this host has another small image",
  "service-image": "when the images of the decoys have other names",
  "services": "for a service that is not in the catalogue, or to change one",
  "publish": "when another program needs the ports on some address, or to `off` to publish nothing",
  "artifacts-dir": "to keep what attackers leave",
  "listen": "so that the master can push; one address is safer than all",
  "allowed-cn": "when the master's client certificate has another common name",
  "supersede": "to `true` when the master replaces topologies without a teardown",
  "forward-logs": "to `false` when log lines take another way",
  "syslog-port": "when the ini file is not the one that the master issued",
  "textfile": "to monitor this host with Prometheus",
};

/** Returns packaging/decnet.ini: each key is a comment. */
function iniFile(keys: readonly KeyText[]): string {
  return `# ${systemPaths.config}: configuration of decnet-agent.
# Keys that are commented out have their default value. Precedence: flag (--master-host),
# environment (DECNET_MASTER_HOST), this file, default.

[agent]
${keys.map(iniEntry).join("")}`;
}

function iniEntry({ name, placeholder, summary, value, fallback, allowed }: KeyText): string {
  return `
# ${summary}
# must be ${allowed}
# default: ${value ?? fallback}
#${name} = ${value ?? placeholder}
`;
}

/** Returns docs/configuration.md; its lines are not wrapped yet. */
export function configurationReference(keys: readonly KeyText[]): string {
  return `# Configuration

All keys, made by \`tools/generate.ts\`. Each is a flag (\`--master-host HOST\`), an environment variable
(\`DECNET_MASTER_HOST\`) and a key of the ini file (\`master-host = HOST\`). Precedence: flag, environment,
file, default. An empty variable counts as not set. A value that is not allowed is refused, with the place
where it is set.

The ini file is \`${systemPaths.config}\`, or that of \`--config FILE\`; \`/dev/null\` is none. The keys are in
its section \`[agent]\`; lines that begin with \`#\` or \`;\` are comments. An unknown key is ignored, with a
warning. The file that the master issues works as it is. \`decnet-agent print config\` prints a file with every
key as a comment.

${keys.map(entry).join("\n")}`;
}

function entry(key: KeyText): string {
  const { name, placeholder, summary, allowed, value, fallback } = key;
  const usual = value === null ? markCode(fallback!) : `\`${value}\``;
  return `## \`${name}\`

${summary.charAt(0).toUpperCase()}${summary.slice(1)}. Set it ${occasions[name as KeyName]}.

- \`${placeholder}\`: ${markCode(allowed)}
- Default: ${usual}
`;
}

/** Marks paths, variables and addresses as code. */
function markCode(text: string): string {
  const code = /(?<=^|[\s(])(?:[$~]?\/[\w./-]*\w|\$[A-Z_]+[\w/-]*|unix:\/\/|[[\d][\d.:\]]+:\d+)/g;
  return text.replace(code, "`$&`");
}

const root = new URL("../", import.meta.url);

/** Returns all generated files, by their paths from the root. */
export async function generatedFiles(): Promise<Map<string, string>> {
  return new Map([
    ["packaging/decnet.ini", iniFile(keys)],
    ["packaging/decnet-agent.bash", bashCompletion({ commands, flags, keys, printables })],
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
