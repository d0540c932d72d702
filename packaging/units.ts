import { systemPaths } from "../host/files.ts";

/**
 * A program's path as the first word of `ExecStart=`. Throws `Error` when no unit can hold it.
 *
 * systemd.service(5): `%` begins a specifier. The path itself is not searched for variables, but it
 * is the first argument, too, which is; `:` before it turns that off.
 */
export function execCommand(path: string): string {
  return `${path.includes("$") ? ":" : ""}${listedPath(path)}`;
}

/** A path in a list of a unit, such as `ExecPaths=`. Throws `Error` when no unit can hold it. */
export function listedPath(path: string): string {
  // Even quoted, systemd takes none of these in the name of a program.
  if (/["'\\]/.test(path)) throw unfit(path, "quotation marks and backslashes");
  demandPlain(path);
  const text = path.replaceAll("%", "%%");
  return isPlain(text) ? text : `"${text}"`;
}

/** A path as a word of a line of cron. Throws `Error` when it has characters that none can hold. */
export function cronWord(path: string): string {
  // Crons do not agree on what two of them are.
  if (path.includes("\\")) throw unfit(path, "backslashes");
  demandPlain(path);
  const word = isPlain(path) ? path : `"${path.replace(/["$`]/g, "\\$&")}"`;
  // A % would end the command; cron takes the backslash away.
  return word.replaceAll("%", "\\%");
}

/** Nothing in it means anything but `%`. */
function isPlain(path: string): boolean {
  return /^[\w/.,:@+%=-]+$/.test(path);
}

function demandPlain(path: string): void {
  // deno-lint-ignore no-control-regex
  if (!path.startsWith("/") || /[\x00-\x1f\x7f]/.test(path)) {
    throw unfit(path, "control characters");
  }
}

function unfit(path: string, what: string): Error {
  return new Error(
    `Cannot print for ${path}: the path of the executable must be absolute and without ${what}`,
  );
}

/** What the service does not see, by the setting that hides it. */
const hidden = {
  ProtectHome: ["/home", "/root", "/run/user"],
  PrivateTmp: ["/tmp", "/var/tmp"],
  PrivateDevices: ["/dev"],
  InaccessiblePaths: ["/boot", "/media", "/mnt", "/srv"].concat(
    ["docker", "containers"].map((name) => `/var/lib/${name}`),
    ["/var/log", "/var/spool"],
  ),
} as const;

/** The folder that hides an executable from a service confined like this; null when it sees it. */
export function folderHiddenByUnit(executable: string): string | null {
  const folders = [...Object.values(hidden).flat(), "/proc"];
  return folders.find((folder) => executable.startsWith(`${folder}/`)) ?? null;
}

/** The settings that confine the agent to what it needs, for the loop and for the check. */
export function confinement(executable: string): string {
  return `User=decnet-agent
# For the socket of the engine. With Podman: the group that its socket has.
SupplementaryGroups=docker
UMask=0077
# ${systemPaths.state}, the one place that it may write to.
StateDirectory=decnet-agent
StateDirectoryMode=0700

# Enough for an engine with 10,000 containers, and for documents of 8 MiB one after another.
MemoryMax=640M
TasksMax=128
LimitNOFILE=1024:4096
# A core dump would hold the private key.
LimitCORE=0
# If it were set, the runtime would write the keys of its connections to that file.
UnsetEnvironment=SSLKEYLOGFILE

# No privileges, and no way to get any.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
RestrictSUIDSGID=yes
RestrictNamespaces=yes
LockPersonality=yes
KeyringMode=private
# Only root and its own user exist; the group of the socket counts all the same.
PrivateUsers=yes

# No code but its own: V8 runs without a JIT, and no program is ever started.
MemoryDenyWriteExecute=yes
NoExecPaths=/ /run /tmp /var/tmp ${systemPaths.state}
ExecPaths=${listedPath(executable)} -/usr/lib -/usr/lib64

# The system calls of an ordinary service, without those that need privileges. What is refused gets an
# error: a runtime that asks for more one day should go on rather than die.
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @aio @chown @ipc @keyring @memlock @setuid
SystemCallErrorNumber=EPERM
SystemCallArchitectures=native
RestrictRealtime=yes

# The engine; the master; and the addresses of this host, which no LAN may take.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
# The master's address is not known here. Once it is fixed, a drop-in can shut out all else; if
# master-host is a name, the name servers must be allowed, too.
#IPAddressDeny=any
#IPAddressAllow=localhost 192.0.2.10

# All files are read-only, and those of others are not to be seen.
ProtectSystem=strict
# Left out by systemd 252 when /proc is protected, too.
ReadOnlyPaths=/run
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
InaccessiblePaths=-/dev/shm -/dev/mqueue -/dev/hugepages
InaccessiblePaths=${hidden.InaccessiblePaths.map((path) => `-${path}`).join(" ")}
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateIPC=yes
PrivateMounts=yes
RemoveIPC=yes
`;
}

/** The unit that runs the loop. Throws `Error` when no unit can hold the path of the executable. */
export function systemdService(executable: string): string {
  return `# /etc/systemd/system/decnet-agent.service, as "decnet-agent print systemd-service" prints it.
# decnet-agent as a system service. It needs the user, once:
#   useradd --system --user-group --groups docker --home-dir /nonexistent --no-create-home \\
#     --shell /usr/sbin/nologin decnet-agent
# The configuration is ${systemPaths.config}. Certificates are in ${systemPaths.certificates}, where worker.key
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
