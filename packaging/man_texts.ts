/** Paragraphs of the man page that no table has. */
export const prose = {
  description: [
    "decnet-agent runs on a host of decoys. The master decides which topology, that is which " +
    "networks and containers, the host runs. The agent makes Docker, or Podman, as the topology " +
    "says, compares again and again what runs with what should, and reports both to the master " +
    "in beats.",
    "Without a master it does the same for whoever sits at the host: `apply` takes a topology " +
    "from a file, `state` and `--once` tell what has become of it.",
    "The agent never pulls an image, never restores anything at its start, and never touches what " +
    "is not its own. When Docker or the master cannot be reached, it says so and goes on.",
  ],
  options: "A value follows its flag as the next argument, or after an equals sign. Each key of " +
    "the configuration is a flag, too; see CONFIGURATION.",
  configuration: [
    "The first that is set counts: the flag, the environment variable, the key in the section " +
    "[agent] of the ini file, the default. An empty variable counts as not set.",
    "In the ini file, a line such as `master-host = master.example` sets a key; one that begins " +
    "with # or ; is a comment. `decnet-agent print config` prints a file with every key.",
  ],
  otherCodes: "The loop ends with 0 when it is stopped. Everything that is used or configured " +
    "wrongly ends with 3, and says why on standard error. `print` ends with 1 when it says there " +
    "that a unit cannot work with the executable where it is.",
} as const;

/** What the loop does with a signal. */
export const signals: readonly (readonly [name: string, text: string])[] = [
  ["SIGTERM, SIGINT", "Stop. An apply that is under way ends the change that it is at."],
  ["SIGHUP", "The loop reads its configuration and its certificates again."],
];

/** Variables besides those of the keys. */
export const variables: readonly (readonly [name: string, text: string])[] = [
  ["DECNET_*", "The configuration; see there."],
  ["DOCKER_HOST", "The engine's socket, where `docker-host` is not set."],
  ["HOME", "Where ~/.decnet/agent and ~/.local/state are."],
  ["STATE_DIRECTORY", "The state folder, as systemd grants it."],
  ["XDG_STATE_HOME", "The folder of the state folder, for a user who is not root."],
  ["XDG_RUNTIME_DIR", "Where the sockets of an engine without root are looked for."],
  ["NO_COLOR, TERM", "With NO_COLOR set, and with TERM=dumb, state and doctor use no colours."],
  ["NOTIFY_SOCKET, WATCHDOG_USEC", "How systemd is told that the loop is ready and alive."],
];

/** Files that the agent reads or writes by default. */
export const files: readonly (readonly [path: string, text: string])[] = [
  ["/etc/decnet/decnet.ini", "The configuration."],
  [
    "/etc/decnet/agent/",
    "`ca.crt`, `worker.crt` and `worker.key`: the master's authority, which takes the place of " +
    "all public ones, and the certificate and the key of this host, as PEM.",
  ],
  [
    "/var/lib/decnet-agent/topology.db",
    "The topology that is applied, with mode 0600, as it may hold passwords.",
  ],
  ["/var/lib/decnet-agent/agent.lock", "Held by the loop."],
  ["/var/lib/decnet-agent/apply.lock", "Held by an apply or a teardown."],
  ["/var/run/docker.sock", "The engine."],
];

/** What one does with the agent, and the lines to be typed. */
export const examples: readonly (readonly [text: string, ...lines: string[]])[] = [
  [
    "What an apply would change, and the apply:",
    "decnet-agent apply topology.json --dry-run",
    "decnet-agent apply topology.json",
  ],
  ["A check that says nothing when all is well:", "decnet-agent --once --quiet"],
  [
    "The agent as a service of systemd:",
    "cd /etc/systemd/system",
    "decnet-agent print systemd-service > decnet-agent.service",
    "systemctl daemon-reload",
    "systemctl enable --now decnet-agent",
  ],
  [
    "This page, and completions for the bash that runs:",
    "mkdir -p /usr/local/share/man/man1",
    "decnet-agent print man > /usr/local/share/man/man1/decnet-agent.1",
    "source <(decnet-agent print completion bash)",
  ],
];
