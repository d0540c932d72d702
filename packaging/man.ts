import type { CliSpec, CodeTable, CommandText, KeyText, OptionText } from "./config.ts";

/** What roff would make something else of. */
const escapes: Readonly<Record<string, string>> = {
  "\\": "\\e",
  "'": "\\(aq",
  "`": "\\(ga",
  "~": "\\(ti",
  "^": "\\(ha",
  '"': "\\(dq",
};

/** Text for a man page: nothing in it is taken for a request or an escape. */
export function plain(text: string): string {
  const escaped = text.replace(/[\\'`~^"]/g, (character) => escapes[character]!);
  return escaped.replace(/^\./gm, "\\&.");
}

/** To be typed as it stands: bold, and its dashes are those of the keyboard. */
export function literal(text: string): string {
  return `\\fB${plain(text).replaceAll("-", "\\-")}\\fR`;
}

/** What stands for something else. */
function variable(text: string): string {
  return `\\fI${plain(text).replaceAll("-", "\\-")}\\fR`;
}

/** A sentence; flags, paths, `code` and variables in it are literal. */
export function sentence(text: string): string {
  const code = /`([^`]+)`|((?:(?<=^|[\s(])(?:--[a-z][a-z-]*|[$~]?\/[\w./-]*\w|\$[A-Z_]+[\w/-]*)))/;
  const parts = text.split(new RegExp(code, "g"));
  return parts.map((part = "", index) => {
    if (part === "") return "";
    return index % 3 === 0 ? plain(part) : literal(part);
  }).join("");
}

/** How something is called: words in capitals stand for others, the rest is literal. */
export function synopsis(usage: string): string {
  return usage.split(/(\s+|[|=[\]]|unix:\/\/)/).filter(Boolean).map((part) => {
    if (/^[\s|[\]]+$/.test(part)) return part;
    return /^[A-Z]+(:[A-Z]+)?$/.test(part) ? variable(part) : literal(part);
  }).join("");
}

/** A section with its heading, which parts it from what precedes as a paragraph would. */
export function section(heading: string, ...parts: readonly string[]): string {
  return `.SH ${heading}\n${parts.join("").replace(/^\.PP\n/, "")}`;
}

/** A heading within a section. */
function subsection(heading: string, ...parts: readonly string[]): string {
  return `.SS ${heading}\n${parts.join("")}`;
}

/** A paragraph of prose. */
export function paragraph(text: string): string {
  return `.PP\n${wrapped(sentence(text))}\n`;
}

/** A term, which is roff already, and what is said of it: a line each. */
export function item(term: string, ...lines: readonly string[]): string {
  return `.TP\n${term}\n${lines.map(wrapped).join("\n.br\n")}\n`;
}

/** Lines to be typed, with what is said of them. */
export function example(text: string, ...commands: readonly string[]): string {
  const lines = commands.map((line) => `${plain(line).replaceAll("-", "\\-")}\n`).join("");
  return `.PP\n${wrapped(sentence(text))}\n.PP\n.RS 4\n.nf\n${lines}.fi\n.RE\n`;
}

/** Lines of at most 80 characters where it can be; each begins with text, not with a request. */
function wrapped(text: string): string {
  const lines = text.match(/\S(?:.{0,78}\S)?(?=\s|$)|\S+/g) ?? [];
  return lines.map((line) => line.replace(/^\./, "\\&.")).join("\n");
}

/** Paragraphs of the man page that no table has. */
const prose = {
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
const signals: readonly (readonly [name: string, text: string])[] = [
  ["SIGTERM, SIGINT", "Stop. An apply that is under way ends the change that it is at."],
  ["SIGHUP", "The loop reads its configuration and its certificates again."],
];

/** Variables besides those of the keys. */
const variables: readonly (readonly [name: string, text: string])[] = [
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
const files: readonly (readonly [path: string, text: string])[] = [
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
const examples: readonly (readonly [text: string, ...lines: string[]])[] = [
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

/** The man page, decnet-agent(1), as roff. */
export function man(tables: CliSpec): string {
  const { commands, keys, options, printables, shells, version } = tables;
  return [
    // No date: the page changes with the version only.
    `.TH DECNET\\-AGENT 1 "" "decnet\\-agent ${version}" "User Commands"\n`,
    // Not hyphenated and not stretched: names are easier to find and to copy.
    ".nh\n.ad l\n",
    section("NAME", "decnet\\-agent \\- tells a master what a host of decoys runs, and runs it\n"),
    section("SYNOPSIS", commands.map(line).join(".br\n")),
    section("DESCRIPTION", ...prose.description.map(paragraph)),
    section("COMMANDS", ...commands.map(command)),
    subsection(
      "What print prints",
      ...Object.entries(printables).map(([what, summary]) =>
        item(
          what === "completion" ? synopsis(`${what} ${shells.join("|")}`) : literal(what),
          capital(summary),
        )
      ),
    ),
    section("OPTIONS", paragraph(prose.options), ...options.map(option)),
    section("CONFIGURATION", ...prose.configuration.map(paragraph), ...keys.map(key)),
    section(
      "EXIT STATUS",
      subsection("Of a check: \\-\\-once, state and doctor", codes(tables.checkCodes)),
      subsection("Of apply and teardown", codes(tables.changeCodes)),
      paragraph(prose.otherCodes),
    ),
    section("SIGNALS", ...signals.map(([name, text]) => item(literal(name), sentence(text)))),
    section("ENVIRONMENT", ...variables.map(([name, text]) => item(literal(name), sentence(text)))),
    section("FILES", ...files.map(([path, text]) => item(literal(path), sentence(text)))),
    section("EXAMPLES", ...examples.map(([text, ...lines]) => example(text, ...lines))),
    section("SEE ALSO", ".BR docker (1),\n.BR systemctl (1),\n.BR systemd.service (5),\n")
      .concat(".BR systemd.timer (5),\n.BR crontab (5)\n"),
  ].join("");
}

function line({ usage }: CommandText): string {
  const words = ["decnet-agent", usage].filter(Boolean).map(synopsis);
  return `${[...words, "[\\fIOPTION\\fR...]"].join(" ")}\n`;
}

function command({ usage, summary }: CommandText): string {
  return item(usage === "" ? "(none)" : synopsis(usage), capital(summary));
}

function option({ flag, placeholder, commands, summary }: OptionText): string {
  const goesWith = commands.length > 0 ? [`With ${commands.join(", ")}.`] : [];
  const term = placeholder === null ? flag : `${flag} ${placeholder}`;
  return item(synopsis(term), capital(summary), ...goesWith.map(sentence));
}

function key({ name, variable, placeholder, summary, fallback, allowed }: KeyText): string {
  return item(
    synopsis(`--${name} ${placeholder}`),
    capital(summary),
    `Key ${literal(name)}, variable ${literal(variable)}.`,
    `Must be ${sentence(allowed)}.`,
    `Default: ${sentence(fallback)}.`,
  );
}

function codes(table: CodeTable): string {
  return table.map(([code, meaning]) => item(literal(code), capital(meaning))).join("");
}

/** A text of the tables, which has neither a capital nor a full stop, as a sentence. */
function capital(text: string): string {
  return sentence(`${text.charAt(0).toUpperCase()}${text.slice(1)}.`);
}
