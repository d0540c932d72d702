import { cronWord } from "./quoting.ts";

/** A file for /etc/cron.d. Throws `Error` when cron cannot hold the path of the executable. */
export function cron(executable: string): string {
  return `# One check of this host every five minutes, for hosts without systemd. Cron mails what is printed,
# and --quiet prints nothing when all is well. This is a file for /etc/cron.d, where a line names its
# user, the one that the agent runs as; that user's own crontab has no such column. It must not be
# writable by others, and its name must have no dot:
#   decnet-agent print cron > /etc/cron.d/decnet-agent
# On many hosts, begin at another minute on some of them, such as 3-59/5, so that the master is not
# asked by all at once.
MAILTO=root
*/5 * * * * decnet-agent ${cronWord(executable)} --once --quiet
`;
}
