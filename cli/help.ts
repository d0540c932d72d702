import { DatabaseSync } from "node:sqlite";
import { systemPaths } from "../host/files.ts";
import type { CommandText, FlagText, KeyText } from "../packaging/config.ts";
import {
  type CommandName,
  flagCommands,
  type FlagName,
  type PrintableFile,
  printables,
} from "./args.ts";
import { agentVersion, type KeyName, keyNames, options, variableOf } from "./options.ts";

/** Exit codes, some with a word for the status, and what they mean. */
type CodeTable = readonly (readonly [code: string, meaning: string])[];

/** The exit codes of a check: `--once`, `state` and `doctor`. */
export const checkCodes: CodeTable = [
  ["0 OK", "all is well"],
  ["1 WARNING", "drift, a recorded error, a certificate about to expire, a store out of order"],
  ["2 CRITICAL", "Docker or the master unreachable, or the master refuses"],
  ["3 UNKNOWN", "wrong usage or configuration, no certificates, store unreadable"],
];

/** The exit codes of `apply` and `teardown`. */
export const changeCodes: CodeTable = [
  ["0", "done"],
  ["1", "done, but something else is not right: drift, the beat not delivered"],
  ["2", "failed, or something stands in the way: mend that, and run it again"],
  ["3", "refused, nothing was changed: not valid, another topology, busy"],
];

const hashCodes: CodeTable = [
  ["0", "done"],
  ["3", "wrong usage, or there is no document; standard error says why"],
];

const printCodes: CodeTable = [
  ["0", "done"],
  ["1", "printed, but the unit cannot work with the executable where it is"],
  ["3", "wrong usage, or it cannot be made; standard error says why"],
];

/** The help of a command. */
interface CommandHelp extends CommandText {
  readonly codes: CodeTable;
  /** Whether the command ignores the configuration. */
  readonly isUnconfigured?: true;
}

const commandHelp: Record<CommandName | "", CommandHelp> = {
  "": {
    usage: "",
    summary: "the loop, until SIGTERM or SIGINT; SIGHUP has it read its files again",
    codes: [],
  },
  "--once": {
    usage: "--once",
    summary: "one beat, then exit: the health check",
    codes: checkCodes,
  },
  "state": {
    usage: "state",
    summary: "what is applied, what runs, and how the two differ",
    codes: checkCodes,
  },
  "doctor": {
    usage: "doctor",
    summary: "what is wrong on this host, and the one command that mends it",
    codes: checkCodes,
  },
  "apply": {
    usage: "apply FILE|-",
    summary: "make Docker as a topology document says, and tell the master",
    codes: changeCodes,
  },
  "teardown": {
    usage: "teardown ID",
    summary: "remove all of a topology from Docker and the store",
    codes: changeCodes,
  },
  "hash": {
    usage: "hash FILE|-",
    summary: "the version hash of a topology document",
    codes: hashCodes,
    isUnconfigured: true,
  },
  "print": {
    usage: "print WHAT",
    summary: "a file for this host, made for this executable",
    codes: printCodes,
    isUnconfigured: true,
  },
};

const printableHelp: Record<PrintableFile, string> = {
  "systemd-service": "the unit of the loop",
  "systemd-timer": "a timer and its service, for --once",
  "cron": "a line for cron, for --once",
  "config": "an ini file with every key",
  "man": "the man page",
  "completion": "completions for bash: print completion bash",
};

const flagHelp: Record<FlagName, { summary: string; placeholder?: string }> = {
  "json": { summary: "print JSON" },
  "quiet": { summary: "print nothing when all is well" },
  "dry-run": {
    summary: "do not send the beat; print what an apply would change, and change nothing",
  },
  "stored": { summary: "instead of FILE: apply once more the document that the store holds" },
  "hash": { placeholder: "HEX", summary: "refuse a document that has another version hash" },
  "no-wait": { summary: "refuse when another one is under way" },
  "config": {
    placeholder: "FILE",
    summary: `another ini file than ${systemPaths.config}; section [agent]`,
  },
  "version": { summary: "versions of the agent, Deno and SQLite" },
  "help": { summary: "this text; with a command, what concerns that one" },
};

/** The help of a configuration key; `fallback` describes a default that is not a fixed value. */
interface KeyHelp {
  readonly placeholder: string;
  readonly summary: string;
  readonly fallback?: string;
}

const keyHelp: Record<KeyName, KeyHelp> = {
  "master-host": {
    placeholder: "HOST",
    summary: "the master to report to",
    fallback: "none: beats are printed, not sent",
  },
  "swarmctl-port": { placeholder: "PORT", summary: "the master's port" },
  "master-name": {
    placeholder: "NAME",
    summary: "the name that the master's certificate must bear",
    fallback: "the value of master-host",
  },
  "master-fingerprint": {
    placeholder: "HEX",
    summary: "SHA-256 of the master's certificate; no other is accepted",
    fallback: "none",
  },
  "host-uuid": {
    placeholder: "UUID",
    summary: "this host's id at the master; required with master-host",
    fallback: "none",
  },
  "agent-dir": {
    placeholder: "DIR",
    summary: "the folder of ca.crt, worker.crt and worker.key",
    fallback: `${systemPaths.certificates} if it exists, else ~/.decnet/agent`,
  },
  "state-dir": {
    placeholder: "DIR",
    summary: "the folder of topology.db",
    fallback:
      `$STATE_DIRECTORY, else ${systemPaths.state}, else (not root) $XDG_STATE_HOME/decnet-agent`,
  },
  "docker-host": {
    placeholder: "unix://PATH",
    summary: "the engine's socket",
    fallback: "$DOCKER_HOST, else the first socket of Docker or Podman that exists",
  },
  "interval": { placeholder: "TIME", summary: "the time between two beats" },
  "network-prefix": { placeholder: "LIST", summary: "how the names of our networks begin" },
  "container-prefix": { placeholder: "LIST", summary: "how the names of our containers begin" },
  "base-image": {
    placeholder: "IMAGE",
    summary: "the image of the containers that hold a decky's network",
  },
  "service-image": {
    placeholder: "LIST",
    summary: "the image of services, {service} in it standing for the service's name; " +
      "SERVICE=IMAGE after a comma for a service of its own",
  },
  "listen": {
    placeholder: "ADDR:PORT",
    summary: "where the master may push topologies to, over mutual TLS",
    fallback: "off",
  },
  "allowed-cn": {
    placeholder: "LIST",
    summary: "whose certificates may push, by their common names",
  },
  "supersede": {
    placeholder: "BOOL",
    summary: "whether another topology is torn down when one is applied, instead of a refusal",
  },
  "textfile": {
    placeholder: "FILE",
    summary: "where metrics for Prometheus go after each beat: a file NAME.prom in the folder " +
      "that the textfile collector of node_exporter reads",
    fallback: "off",
  },
};

/** All commands, in the order of the help. */
export const commands: readonly CommandHelp[] = Object.values(commandHelp);

/** All flags that are not configuration keys. */
export const flags: readonly FlagText[] = (Object.keys(flagCommands) as FlagName[]).map((name) => {
  const { placeholder = null, summary } = flagHelp[name];
  return { flag: `--${name}`, placeholder, commands: flagCommands[name], summary };
});

/** All configuration keys. */
export const keys: readonly KeyText[] = keyNames.map((name) => {
  const { placeholder, summary, fallback } = keyHelp[name];
  const { default: value, allowed } = options[name];
  return { name, variable: variableOf(name), placeholder, summary, value, fallback, allowed };
});

/** The default of a key, in words. */
export function defaultText(name: KeyName): string {
  return options[name].default ?? keyHelp[name].fallback!;
}

/** Returns the versions of the agent, the runtime and its SQLite. */
export function versions(): { agent: string; deno: string; sqlite: string } {
  const database = new DatabaseSync(":memory:");
  const { version } = database.prepare("SELECT sqlite_version() AS version").get()!;
  database.close();
  return { agent: agentVersion, deno: Deno.version.deno, sqlite: String(version) };
}

/** Returns what `--help` prints; for one command, its usage, flags and exit codes. */
export function helpText(about: CommandName | null): string {
  return about === null ? wholeHelp() : commandHelpText(commandHelp[about]);
}

function wholeHelp(): string {
  const usages = commands.map(({ usage, summary }) => row(`decnet-agent ${usage}`, summary));
  const flagTexts = flags.map((flag) => {
    const { commands } = flag;
    return flagText(flag) + (commands.length > 0 ? ` (with ${commands.join(", ")})` : "");
  });
  const keyTexts = keyNames.map((name) => {
    const { placeholder, summary } = keyHelp[name];
    return `  --${name} ${placeholder}\n      ${summary}\n      default: ${defaultText(name)}`;
  });
  return `decnet-agent: runs on a host of decoys and tells the master what is there

usage
${usages.join("\n")}

options
${flagTexts.join("\n")}

what print prints
${printablesText()}

configuration
  The first that is set counts: the flag, the variable (${variableOf("master-host")} for
  --master-host), the key in the ini file (master-host = …), the default.

${keyTexts.join("\n")}

exit codes
${codesText(checkCodes)}

exit codes of apply and teardown
${codesText(changeCodes)}
`;
}

function commandHelpText({ usage, summary, codes, isUnconfigured }: CommandHelp): string {
  const name = usage.split(" ")[0]!;
  const own = flags.filter(({ flag, commands }) =>
    commands.includes(name) || flag === "--help" || (flag === "--config" && !isUnconfigured)
  );
  const configuration =
    "Each key is a flag, too, such as --state-dir DIR; decnet-agent --help lists them.";
  return [
    `decnet-agent ${usage}: ${summary}`,
    `options\n${own.map(flagText).join("\n")}`,
    ...(name === "print" ? [`what print prints\n${printablesText()}`] : []),
    ...(isUnconfigured ? [] : [`configuration\n  ${configuration}`]),
    `exit codes\n${codesText(codes)}`,
  ].join("\n\n").concat("\n");
}

function flagText({ flag, placeholder, summary }: FlagText): string {
  return `  ${placeholder ? `${flag} ${placeholder}` : flag}\n      ${summary}`;
}

function printablesText(): string {
  return printables.map((what) => row(what, printableHelp[what])).join("\n");
}

function codesText(table: CodeTable): string {
  return table.map(([code, meaning]) => `  ${code.padEnd(12)} ${meaning}`).join("\n");
}

function row(words: string, summary: string): string {
  return `  ${words.padEnd(27)} ${summary}`;
}
