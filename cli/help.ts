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
  decnet-agent apply FILE|-   make Docker as a topology document says, and tell the master
  decnet-agent teardown ID    remove all of a topology from Docker and the store
  decnet-agent hash FILE|-    the version hash of a topology document

options
  --json       print JSON (with --once, state, apply, teardown, hash and --version)
  --dry-run    with --once: do not send the beat
               with apply: print what would change, and change nothing
  --hash HEX   with apply: refuse a document that has another version hash
  --no-wait    with apply and teardown: refuse when another one is under way
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

exit codes of apply and teardown
  0            done
  1            done, but something else is not right: drift, the beat not delivered
  2            failed on the way, and recorded: run it again
  3            refused, nothing was changed: not valid, another topology, busy
`;
}
