import { type KeyText, literalDefault } from "../../packaging/mod.ts";

/** The reference of the configuration, as Markdown; its lines are yet to be wrapped. */
export function configurationReference(keys: readonly KeyText[]): string {
  return `# Configuration

All that can be set. This page is made of the same table as \`decnet-agent --help\`, by
\`scripts/packaging.ts\`.

Each key is a flag, an environment variable and a key of the ini file. The first that is set counts,
in this order; then comes the default. An empty variable counts as not set. A value that cannot be
is refused, with the place that it comes from; \`--once\` says so, and exits with 3.

The ini file is \`/etc/decnet/decnet.ini\`, or what \`--config FILE\` names; the keys are in its section
\`[agent]\`. Lines that begin with \`#\` or \`;\` are comments. A key that is unknown is ignored, with a
warning. \`decnet-agent print config\` prints a file with every key, each as a comment
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
- Allowed: ${prose(allowed)}
`;
}

function defaultOf(key: KeyText): string {
  const literal = literalDefault(key);
  return literal === null ? prose(key.fallback) : `\`${literal}\``;
}

/** Paths and the like stand as code. */
function prose(text: string): string {
  const code = /(?<=^|[\s(])(?:[$~]?\/[\w./-]*\w|\$[A-Z_]+[\w/-]*|unix:\/\/|[[\d][\d.:\]]+:\d+)/g;
  return text.replace(code, "`$&`");
}
