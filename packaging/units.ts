import { systemPaths } from "../host/files.ts";
import install from "./install.sh" with { type: "text" };
import uninstall from "./uninstall.sh" with { type: "text" };

/**
 * Writes the path of a program as the first word of `ExecStart=`. Throws `Error` when a unit cannot
 * contain it.
 *
 * systemd.service(5): `%` begins a specifier. systemd expands variables in the first argument, which
 * is the path again; `:` before it turns that off.
 */
export function execCommand(path: string): string {
  return `${path.includes("$") ? ":" : ""}${listedPath(path)}`;
}

/** Writes a path in a list such as `ExecPaths=`. Throws `Error` when a unit cannot contain it. */
export function listedPath(path: string): string {
  // systemd refuses these in the name of a program, quoted or not.
  if (/["'\\]/.test(path)) throw pathError(path, "quotation marks and backslashes");
  checkPath(path);
  const text = path.replaceAll("%", "%%");
  return isPlain(text) ? text : `"${text}"`;
}

/** Writes a path as a word for cron. Throws `Error` when a line of cron cannot contain it. */
export function cronWord(path: string): string {
  // Implementations of cron differ in how they read two backslashes.
  if (path.includes("\\")) throw pathError(path, "backslashes");
  checkPath(path);
  const word = isPlain(path) ? path : `"${path.replace(/["$`]/g, "\\$&")}"`;
  // A % would end the command; cron removes the backslash.
  return word.replaceAll("%", "\\%");
}

/** Returns true when no character but `%` is special to a shell or to systemd. */
function isPlain(path: string): boolean {
  return /^[\w/.,:@+%=-]+$/.test(path);
}

function checkPath(path: string): void {
  // deno-lint-ignore no-control-regex
  if (!path.startsWith("/") || /[\x00-\x1f\x7f]/.test(path)) {
    throw pathError(path, "control characters");
  }
}

function pathError(path: string, what: string): Error {
  return new Error(
    `Cannot print for ${path}: the path of the executable must be absolute and without ${what}`,
  );
}

/** The folders that the service does not see, by the setting that hides them. */
const hidden = {
  ProtectHome: ["/home", "/root", "/run/user"],
  PrivateTmp: ["/tmp", "/var/tmp"],
  PrivateDevices: ["/dev"],
  InaccessiblePaths: ["/boot", "/media", "/mnt", "/srv", "/var/lib/docker", "/var/lib/containers"]
    .concat("/var/log", "/var/spool"),
} as const;

/** Returns the hidden folder that contains the executable; null when the service can start it. */
export function folderHiddenByUnit(executable: string): string | null {
  const folders = [...Object.values(hidden).flat(), "/proc"];
  return folders.find((folder) => executable.startsWith(`${folder}/`)) ?? null;
}

/** Returns the settings that confine the service, and the check, to what they need. */
export function confinement(executable: string): string {
  return `User=decnet-agent
# For the socket of Docker. With Podman: the group of its socket.
SupplementaryGroups=docker
UMask=0077
# ${systemPaths.state}, the only folder that it may write to.
StateDirectory=decnet-agent
StateDirectoryMode=0700

# Enough for an engine with 10,000 containers, and for documents of 8 MiB one after another.
MemoryMax=640M
TasksMax=128
LimitNOFILE=1024:4096
# A core dump would hold the private key.
LimitCORE=0
# With the first the runtime writes the keys of its connections to a file, with the second the
# private key to the log.
UnsetEnvironment=SSLKEYLOGFILE NODE_DEBUG

# No privileges, and no way to get any.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
RestrictSUIDSGID=yes
RestrictNamespaces=yes
LockPersonality=yes
KeyringMode=private
# Only root and its own user exist; the group of the socket still counts.
PrivateUsers=yes

# No code but its own: V8 runs without a JIT, and no program is ever started.
MemoryDenyWriteExecute=yes
NoExecPaths=/ /run /tmp /var/tmp ${systemPaths.state}
ExecPaths=${listedPath(executable)} -/usr/lib -/usr/lib64

# The system calls of an ordinary service, without those that need privileges. A refused call returns
# an error: a newer runtime that needs more should continue, not die.
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @aio @chown @ipc @keyring @memlock @setuid
SystemCallErrorNumber=EPERM
SystemCallArchitectures=native
RestrictRealtime=yes

# The engine, the master, and the addresses of this host, which no LAN may use.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
# If the address of the master is fixed, a drop-in can block all others; if master-host is a name,
# allow the name servers, too.
#IPAddressDeny=any
#IPAddressAllow=localhost 192.0.2.10

# All files are read-only, and those of users are hidden.
ProtectSystem=strict
# systemd 252 needs this when /proc is protected, too.
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

/** Returns the unit of the service. Throws `Error` when a unit cannot contain the path. */
export function systemdService(executable: string): string {
  return `# /etc/systemd/system/decnet-agent.service, as "decnet-agent print systemd-service" prints it.
# "decnet-agent print install | sh" installs it, with all that it needs.
# The configuration is ${systemPaths.config}. Certificates are in ${systemPaths.certificates}, where worker.key
# belongs to decnet-agent with mode 0600. Put your own changes into a drop-in:
# systemctl edit decnet-agent

[Unit]
Description=decnet-agent: creates decoy networks in Docker and reports to the master
# Not required: without Docker or a network the agent continues, and reports that.
Wants=docker.service network-online.target
After=docker.service network-online.target
# systemd must never stop trying: there may be no one to start it again.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=${execCommand(executable)} run
# Reloads configuration and certificates. The + runs kill outside of the confinement below, in which
# no program can be started.
ExecReload=+/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=5s
# The agent sends a sign of life every third of this, unless a heartbeat has hung for a minute.
WatchdogSec=60s
# Before it is ready it asks Docker once, which takes 8 s at most.
TimeoutStartSec=60s
# It stops within 2 s; an apply first finishes the change that it is making.
TimeoutStopSec=90s

${confinement(executable)}
[Install]
WantedBy=multi-user.target
`;
}

/** Returns the unit of one check. Throws `Error` when a unit cannot contain the path. */
export function checkService(executable: string): string {
  return `# One check of this host, for decnet-agent-check.timer. It needs the user of decnet-agent.service,
# which can run at the same time, or not at all.
#   decnet-agent print systemd-check-service > /etc/systemd/system/decnet-agent-check.service
#   decnet-agent print systemd-check-timer > /etc/systemd/system/decnet-agent-check.timer
#   systemctl daemon-reload && systemctl enable --now decnet-agent-check.timer

[Unit]
Description=decnet-agent --once: one check of this host
# No Wants=: a check that starts Docker would never find it stopped.
After=docker.service network-online.target decnet-agent.service
# Starts a unit of your own when a check fails:
#OnFailure=notify@%N.service

[Service]
Type=oneshot
# Its line is in the journal, and in: systemctl status decnet-agent-check
ExecStart=${execCommand(executable)} --once
# WARNING (1) counts as a failure, like CRITICAL (2) and UNKNOWN (3): drift means that this host does
# not run what it should. To ignore warnings:
#SuccessExitStatus=1
# It exits within 10 s.
TimeoutStartSec=60s

${confinement(executable)}`;
}

/** Returns the timer of the check. */
export function checkTimer(): string {
  return `# Starts decnet-agent-check.service, whose first lines say how to install both.
# systemctl list-timers shows the last and the next check.

[Unit]
Description=decnet-agent --once every five minutes

[Timer]
OnCalendar=*:0/5
# Each host has its own fixed delay, so that not all hosts call the master at once.
RandomizedDelaySec=4min
FixedRandomDelay=yes
AccuracySec=1s

[Install]
WantedBy=timers.target
`;
}

/** Returns the script that installs this executable. Throws `Error` when a line cannot show its path. */
export function installScript(executable: string): string {
  return withProgram(install, executable);
}

/** Returns the script that removes the agent. Throws `Error` when a line cannot show the path. */
export function uninstallScript(executable: string): string {
  return withProgram(uninstall, executable);
}

function withProgram(script: string, executable: string): string {
  checkPath(executable);
  const word = isPlain(executable) ? executable : `'${executable.replaceAll("'", "'\\''")}'`;
  return script.replace(/^program=.*$/m, () => `program=${word}`);
}

/** Returns a file for /etc/cron.d. Throws `Error` when a line of cron cannot contain the path. */
export function cron(executable: string): string {
  return `# One check of this host every five minutes, for hosts without systemd. Cron mails what is printed;
# --quiet prints nothing when all is well. The line names the user, so it works in /etc/cron.d only,
# not in a user's crontab. The file must not be writable by others, and its name must have no dot:
#   decnet-agent print cron > /etc/cron.d/decnet-agent
# With many hosts, change the minute on some of them (3-59/5), so that not all call the master at once.
MAILTO=root
*/5 * * * * decnet-agent ${cronWord(executable)} --once --quiet
`;
}
