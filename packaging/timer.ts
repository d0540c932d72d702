import { confinement } from "./confinement.ts";
import { execCommand } from "./quoting.ts";

/** The unit of one check. Throws `Error` when no unit can hold the path of the executable. */
export function checkService(executable: string): string {
  return `# /etc/systemd/system/decnet-agent-check.service
# One check of this host, for decnet-agent-check.timer. It needs the same user as
# decnet-agent.service, whose loop may run beside it, or not at all.
# "decnet-agent print systemd-timer" prints two files. Each begins with its name, which parts them:
#   decnet-agent print systemd-timer | awk '/^# \\/etc\\// { file = $2 } { print > file }'
#   systemctl daemon-reload && systemctl enable --now decnet-agent-check.timer

[Unit]
Description=decnet-agent --once: one check of what this host runs
# Not wished for: a check that starts Docker would never find it stopped.
After=docker.service network-online.target decnet-agent.service
# What should happen when a check fails; a unit of your own, which tells you:
#OnFailure=tell-me@%N.service

[Service]
Type=oneshot
# The line that it prints is in the journal, and in: systemctl status decnet-agent-check
ExecStart=${execCommand(executable)} --once
# A warning (1) counts as a failure, as CRITICAL (2) and UNKNOWN (3) do: drift means that this host
# does not run what it should. To be told of the others only:
#SuccessExitStatus=1
# It ends within 10 s by itself.
TimeoutStartSec=60s

${confinement(executable)}`;
}

/** The timer of the check. */
export function checkTimer(): string {
  return `# /etc/systemd/system/decnet-agent-check.timer
# systemctl list-timers tells when it checked, and when it will.

[Unit]
Description=Has decnet-agent check this host every five minutes

[Timer]
OnCalendar=*:0/5
# Each host at a moment of its own, always the same, so that the master is not asked by all at once.
RandomizedDelaySec=4min
FixedRandomDelay=yes
AccuracySec=1s

[Install]
WantedBy=timers.target
`;
}

/** Both, one after the other; each begins with a comment that has its path. */
export function systemdTimer(executable: string): string {
  return `${checkService(executable)}\n${checkTimer()}`;
}
