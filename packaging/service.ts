import { confinement } from "./confinement.ts";
import { execCommand } from "./quoting.ts";

/** The unit that runs the loop. Throws `Error` when no unit can hold the path of the executable. */
export function systemdService(executable: string): string {
  return `# /etc/systemd/system/decnet-agent.service, as "decnet-agent print systemd-service" prints it.
# decnet-agent as a system service. It needs the user, once:
#   useradd --system --user-group --groups docker --home-dir /nonexistent --no-create-home \\
#     --shell /usr/sbin/nologin decnet-agent
# The configuration is /etc/decnet/decnet.ini. Certificates are in /etc/decnet/agent, where worker.key
# belongs to decnet-agent with mode 0600. Changes of your own go into a drop-in:
# systemctl edit decnet-agent

[Unit]
Description=decnet-agent: reports to the master what this host runs, and runs its topology
# Wished for, never required: without Docker or a network the agent goes on, and says so.
Wants=docker.service network-online.target
After=docker.service network-online.target
# Nobody may be near to start it again: it is never given up.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=${execCommand(executable)}
# The agent reads its files again. The + is for kill, which stands outside of the confinement below:
# in it, no program can be started.
ExecReload=+/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=5s
# The agent speaks up every third of this, and stays silent when a beat has been stuck for a minute.
WatchdogSec=60s
# Before it is ready it has looked at Docker once, which takes 8 s at most.
TimeoutStartSec=60s
# It stops within 2 s; an apply first ends the change that it is at.
TimeoutStopSec=90s

${confinement(executable)}
[Install]
WantedBy=multi-user.target
`;
}
