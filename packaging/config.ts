import { type KeyText, literalDefault } from "./tables.ts";

/** An ini file with every key, each a comment; so it changes nothing as it is. */
export function config(keys: readonly KeyText[]): string {
  return `# /etc/decnet/decnet.ini, the configuration of decnet-agent. What is a comment has its default. The
# flag of a key (--master-host) wins over its variable (DECNET_MASTER_HOST), and that over this file.

[agent]
${keys.map(entry).join("")}`;
}

function entry(key: KeyText): string {
  const { name, placeholder, summary, fallback, allowed } = key;
  const literal = literalDefault(key);
  return `
# ${summary}
# must be ${allowed}
# default: ${fallback}
#${name} = ${literal ?? placeholder}
`;
}
