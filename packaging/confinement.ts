import { listedPath } from "./quoting.ts";

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
export function hidingFolder(executable: string): string | null {
  const folders = [...Object.values(hidden).flat(), "/proc"];
  return folders.find((folder) => executable.startsWith(`${folder}/`)) ?? null;
}

/** The settings that confine the agent to what it needs, for the loop and for the check. */
export function confinement(executable: string): string {
  return `User=decnet-agent
# For the socket of the engine. With Podman: the group that its socket has.
SupplementaryGroups=docker
UMask=0077
# /var/lib/decnet-agent, the one place that it may write to.
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
NoExecPaths=/ /run /tmp /var/tmp /var/lib/decnet-agent
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
