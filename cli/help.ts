import { DatabaseSync } from "node:sqlite";
import { systemPaths } from "../host/files.ts";
import {
  type CommandName,
  flagCommands,
  type FlagName,
  operandOf,
  type PrintableFile,
  printables,
} from "./args.ts";
import { agentVersion, type KeyName, keyNames, options, variableOf } from "./options.ts";

/** A way to call the agent. */
export interface CommandText {
  /** The first word after the program's name; empty for the service. */
  readonly name: string;
  /** The name with its operand. */
  readonly usage: string;
  readonly summary: string;
}

/** A flag that is not a configuration key. */
export interface FlagText {
  readonly flag: string;
  /** The name of its value; null for a switch. */
  readonly placeholder: string | null;
  /** The commands that it goes with; empty for all. */
  readonly commands: readonly string[];
}

/** A configuration key: a flag, a variable and a key of the ini file. */
export interface KeyText {
  readonly name: string;
  readonly variable: string;
  /** The name of its value. */
  readonly placeholder: string;
  readonly summary: string;
  /** The default, where it is a fixed value. */
  readonly value: string | null;
  /** The default in words, where it is not. */
  readonly fallback?: string | undefined;
  /** The values that are allowed; completes "must be …". */
  readonly allowed: string;
}

/** Exit codes, some with a word for the status, and what they mean. */
type CodeTable = readonly (readonly [code: string, meaning: string])[];

/** The exit codes of `--once`. */
export const checkCodes: CodeTable = [
  ["0 OK", "all is well"],
  ["1 WARNING", "drift, a recorded error, a certificate that expires soon, a store problem"],
  ["2 CRITICAL", "Docker or the master cannot be reached, or the master rejects the heartbeat"],
  ["3 UNKNOWN", "wrong usage or configuration, no certificates, the store cannot be read"],
];

const stateCodes: CodeTable = [
  checkCodes[0]!,
  ["1 WARNING", "drift, a recorded error, a store problem"],
  ["2 CRITICAL", "Docker cannot be reached"],
  ["3 UNKNOWN", "wrong usage or configuration, the store cannot be read"],
];

const doctorCodes: CodeTable = [
  ["0 OK", "nothing is wrong"],
  ["1 WARNING", "warnings only"],
  ["2 CRITICAL", "Docker, the master or their settings: a check has failed"],
  ["3 UNKNOWN", "anything else: a check has failed; also wrong usage"],
];

/** The exit codes of `apply` and `teardown`. */
export const changeCodes: CodeTable = [
  ["0", "done"],
  ["1", "done, but something else is wrong: drift, or the heartbeat was not delivered"],
  ["2", "failed, or another object is in the way: fix this, then run the command again"],
  ["3", "refused, nothing was changed: invalid document, another topology, or busy"],
];

/** The exit codes of a command without a status. */
const plainCodes: CodeTable = [
  ["0", "done"],
  ["3", "wrong usage or input; standard error says why"],
];

const imagesCodes = plainCodes.toSpliced(1, 0, ["2", "--missing: one is missing, or no Docker"]);

const commandHelp: Record<CommandName, readonly [summary: string, codes: CodeTable]> = {
  "run": ["run until SIGTERM or Ctrl-C; SIGHUP reloads configuration and certificates", plainCodes],
  "--once": ["check once: report, print one line, exit 0-3 (for monitoring)", checkCodes],
  "state": ["show what is applied, what runs, and the differences", stateCodes],
  "doctor": ["find what is wrong on this host, and show how to fix it", doctorCodes],
  "apply": ["make Docker run the topology of a document, and report", changeCodes],
  "teardown": ["remove a topology; 8 characters of its id are enough", changeCodes],
  "hash": ["print the version hash of a topology document", plainCodes],
  "images": ["list the images that a topology document needs", imagesCodes],
  "print": ["print a file or a script to install", plainCodes],
  "help": ["show this help, or that of a command", plainCodes],
  "version": ["show the versions of the agent, Deno and SQLite", plainCodes],
};

/** The commands that ignore the configuration. */
const unconfigured: readonly string[] = ["hash", "print", "help", "version"];

const printableHelp: Record<PrintableFile, string> = {
  "systemd-service": "the unit of the service",
  "systemd-check-service": "a unit for --once",
  "systemd-check-timer": "the timer that starts it, every five minutes",
  "cron": "a line for cron, for --once",
  "config": "an ini file with every key",
  "man": "the man page",
  "completion": "completions for bash: print completion bash",
  "install": "a script that installs or upgrades: print install | sh",
  "uninstall": "a script that removes it: print uninstall | sh -s -- [--keep-topology] [--purge]",
};

/** A flag without a placeholder for a value is a switch. */
const flagHelp: Record<FlagName, readonly [summary: string, placeholder?: string]> = {
  "json": ["print JSON"],
  "quiet": ["print nothing when all is well"],
  "dry-run": ["only try: --once sends no heartbeat, apply shows what it would change"],
  "stored": ["instead of FILE: the document in the store"],
  "missing": ["list only the images that Docker does not have"],
  "report": ["print all that a report of a fault needs, without secrets and documents"],
  "hash": ["apply only if the document's version hash is HEX", "HEX"],
  "no-wait": ["do not wait if another apply or teardown is running: exit with 3"],
  "config": [`read this ini file instead of ${systemPaths.config}; section [agent]`, "FILE"],
  "version": ["show the versions of the agent, Deno and SQLite; also -V"],
  "help": ["show this help; after a command, the help of that command; also -h"],
};

/** The help of a configuration key; `fallback` describes a default that is not a fixed value. */
type KeyHelp = readonly [placeholder: string, summary: string, fallback?: string];

const keyHelp: Record<KeyName, KeyHelp> = {
  "master-host": ["HOST", "the master to report to", "none: heartbeats are printed, not sent"],
  "swarmctl-port": ["PORT", "the port of the master"],
  "master-name": ["NAME", "the name in the master's certificate", "master-host or swarmctl"],
  "master-fingerprint": ["HEX", "SHA-256 of the only certificate of a master to accept", "none"],
  "host-uuid": ["UUID", "the id of this host at the master; required with master-host", "none"],
  "agent-dir": [
    "DIR",
    "the folder of ca.crt, worker.crt and worker.key",
    `${systemPaths.certificates} if it exists, else ~/.decnet/agent`,
  ],
  "state-dir": [
    "DIR",
    "the folder of topology.db",
    `$STATE_DIRECTORY, else ${systemPaths.state}, else (not root) $XDG_STATE_HOME/decnet-agent`,
  ],
  "docker-host": [
    "unix://PATH",
    "the socket of Docker or Podman",
    "$DOCKER_HOST, else the first usual socket that may be opened",
  ],
  "interval": ["TIME", "the time between two heartbeats"],
  "log-level": ["LEVEL", "what the running agent logs; debug adds each heartbeat and each call"],
  "network-prefix": ["LIST", "name prefixes of the networks that the agent manages"],
  "container-prefix": ["LIST", "name prefixes of the containers that the agent manages"],
  "base-image": ["IMAGE", "image of the containers that hold the network of a decky"],
  "service-image": [
    "LIST",
    "image of services, with {service} for the name; ,SERVICE=IMAGE differs",
  ],
  "services": ["FILE", "a JSON file with more services, or other facts of them", "none"],
  "publish": ["ADDR", "the address of this host where gateways publish their services' ports"],
  "artifacts-dir": ["DIR", "the folder for the files that services capture", "off"],
  "listen": [
    "ADDR:PORT",
    "where the master can push topologies to, over mutual TLS",
    "off; 0.0.0.0:PORT, all addresses, if the ini file has agent-port = PORT, as the master's has",
  ],
  "allowed-cn": ["LIST", "common names of the certificates that may push"],
  "supersede": [
    "BOOL",
    "another topology is applied: true removes it first, unless they replace each other in a loop",
  ],
  "forward-logs": [
    "BOOL",
    "send what the decoys print to the master, at its syslog-port",
    "true if syslog-port and master-host are set, else false",
  ],
  "syslog-port": [
    "PORT",
    "the port where the master takes the lines of the decoys",
    "swarm-syslog-port of the ini file, else none",
  ],
  "textfile": [
    "FILE",
    "metrics for Prometheus, written after each heartbeat into the folder of node_exporter",
    "off",
  ],
};

/** All commands, in the order of the help. */
export const commands: readonly (CommandText & { readonly codes: CodeTable })[] =
  (Object.keys(operandOf) as CommandName[]).map((name) => {
    const [summary, codes] = commandHelp[name];
    return { name, usage: `${name} ${operandOf[name]}`.trim(), summary, codes };
  });

/** All flags that are not configuration keys. */
export const flags: readonly (FlagText & { readonly summary: string })[] =
  (Object.keys(flagCommands) as FlagName[]).map((name) => {
    const [summary, placeholder = null] = flagHelp[name];
    return { flag: `--${name}`, placeholder, commands: flagCommands[name], summary };
  });

/** All configuration keys. */
export const keys: readonly KeyText[] = keyNames.map((name) => {
  const [placeholder, summary, fallback] = keyHelp[name];
  const { allowed } = options[name];
  const value = valueText(name);
  return { name, variable: variableOf(name), placeholder, summary, value, fallback, allowed };
});

/** Returns the default of a key, as it is written; null when there is none that is fixed. */
function valueText(name: KeyName): string | null {
  const value = options[name].default;
  if (name === "interval") return `${Number(value) / 1000}s`;
  if (value === null) return null;
  return typeof value === "object" && "service" in value ? value.service : String(value);
}

/** Describes the default of a key. */
export function defaultText(name: KeyName): string {
  return valueText(name) ?? keyHelp[name][2]!;
}

/** The commit of the source and its day, which tools/build.ts puts in place of `dev`. */
const source = "decnet-agent source: dev";

/**
 * Returns the versions of the agent, the runtime and its SQLite. The commit is `unknown` when it was built
 * outside of a checkout; then its day, such as 2026-11-29, is null.
 */
export function versions() {
  const database = new DatabaseSync(":memory:");
  const { version } = database.prepare("SELECT sqlite_version() AS version").get()!;
  database.close();
  const [commit, date = null] = source.replace(/^.*: /, "").split(" ") as [string, string?];
  return { agent: agentVersion, commit, date, deno: Deno.version.deno, sqlite: String(version) };
}

/** Returns what `--help` prints; for one command, its usage, flags and exit codes. */
export function helpText(about: CommandName | null): string {
  return `${(about === null ? wholeHelp() : commandHelpText(about)).join("\n\n")}\n`;
}

function wholeHelp(): string[] {
  const keyTexts = keys.map(({ name, placeholder, summary, value, fallback }) =>
    `  --${name} ${placeholder}\n      ${summary}\n      default: ${value ?? fallback}`
  );
  const precedence = `  Precedence: flag (--master-host), environment (DECNET_MASTER_HOST), ini file
  (master-host = …), default.
`;
  const withCommands = ({ commands, summary }: (typeof flags)[number]) =>
    summary + (commands.length > 0 ? ` (with ${commands.join(", ")})` : "");
  return [
    "decnet-agent: creates decoy (honeypot) networks in Docker on this host and reports to the master",
    section("usage", [
      row("decnet-agent", "the same as decnet-agent run"),
      ...commands.map(({ usage, summary }) => row(`decnet-agent ${usage}`, summary)),
    ]),
    section("options", flags.map((flag) => flagText(flag, withCommands(flag)))),
    section("what print prints", printableRows()),
    section("configuration", [precedence, ...keyTexts]),
    section("exit codes", codeRows(checkCodes)),
    section("exit codes of apply and teardown", codeRows(changeCodes)),
  ];
}

function commandHelpText(name: CommandName): string[] {
  const { usage, summary, codes } = commands.find((command) => command.name === name)!;
  const isConfigured = !unconfigured.includes(name);
  const ownFlags = flags.filter(({ flag, commands }) =>
    commands.includes(name) || flag === "--help" || (flag === "--config" && isConfigured)
  );
  const configuration =
    "  Each key is a flag, too, such as --state-dir DIR. List them: decnet-agent --help";
  return [
    `decnet-agent ${usage}: ${summary}`,
    section("options", ownFlags.map((flag) => flagText(flag, flag.summary))),
    ...(name === "print" ? [section("what print prints", printableRows())] : []),
    ...(isConfigured ? [section("configuration", [configuration])] : []),
    section("exit codes", codeRows(codes)),
  ];
}

function section(title: string, lines: readonly string[]): string {
  return [title, ...lines].join("\n");
}

function flagText({ flag, placeholder }: FlagText, summary: string): string {
  return `  ${placeholder ? `${flag} ${placeholder}` : flag}\n      ${summary}`;
}

function printableRows(): string[] {
  return printables.map((what) => row(what, printableHelp[what]));
}

function codeRows(table: CodeTable): string[] {
  return table.map(([code, meaning]) => `  ${code.padEnd(12)} ${meaning}`);
}

function row(words: string, summary: string): string {
  return `  ${words.padEnd(27)} ${summary}`;
}
