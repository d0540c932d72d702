import { keyNames, keys, variableOf } from "./keys.ts";

/** What `--help` prints. */
export function helpText(): string {
  const flags = keyNames.map((name) => {
    const { placeholder, summary, fallback } = keys[name];
    return `  --${name} ${placeholder}\n      ${summary}\n      default: ${fallback}`;
  });
  return `decnet-agent: runs on a host of decoys and tells the master what is there

usage
  decnet-agent                the loop, until SIGTERM or SIGINT
  decnet-agent --once         one beat, then exit: the health check
  decnet-agent state          what is applied, what runs, and how the two differ
  decnet-agent hash FILE|-    the version hash of a topology document

options
  --json       print JSON (with --once, state, hash and --version)
  --dry-run    with --once: do not send the beat
  --config FILE
      the ini file, section [agent]
      default: /etc/decnet/decnet.ini
  --version    versions of the agent, Deno and SQLite
  --help       this text

configuration
  The first that is set counts: the flag, the variable (${variableOf("master-host")} for
  --master-host), the key in the ini file (master-host = …), the default.

${flags.join("\n")}

exit codes
  0 OK         all is well
  1 WARNING    drift, a recorded error, a certificate about to expire
  2 CRITICAL   Docker or the master unreachable, or the master refuses
  3 UNKNOWN    wrong usage or configuration, no certificates, store unreadable
`;
}
