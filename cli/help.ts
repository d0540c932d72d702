import type { CliSpec } from "../packaging/config.ts";
import { agentVersion, keyNames, keys, variableOf } from "./options.ts";

/** A way to call the agent, and what it does then: a line each for the help. */
interface CommandUsage {
  readonly usage: string;
  readonly summary: string;
  readonly codes: CodeTable;
  /** Whether the keys of the configuration have no effect on it. */
  readonly isUnconfigured?: true;
}

/** Exit codes, with a word after each or not, and what they mean. */
type CodeTable = readonly (readonly [code: string, meaning: string])[];

/** A flag that is no configuration key. */
interface OptionUsage {
  readonly flag: string;
  /** What stands for its value; null for a switch. */
  readonly placeholder: string | null;
  /** With which commands it goes; empty with all. */
  readonly commands: readonly string[];
  readonly summary: string;
}

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

/** The exit codes of `hash`. */
const hashCodes: CodeTable = [
  ["0", "done"],
  ["3", "wrong usage, or there is no document; standard error says why"],
];

/** The exit codes of `print`. */
const printCodes: CodeTable = [
  ["0", "done"],
  ["1", "printed, but the unit cannot work with the executable where it is"],
  ["3", "wrong usage, or it cannot be made; standard error says why"],
];

/** All commands, in the order of the help; the help, the man page and the completions are made of it. */
export const commandUsages: readonly CommandUsage[] = [
  {
    usage: "",
    summary: "the loop, until SIGTERM or SIGINT; SIGHUP has it read its files again",
    codes: [],
  },
  { usage: "--once", summary: "one beat, then exit: the health check", codes: checkCodes },
  {
    usage: "state",
    summary: "what is applied, what runs, and how the two differ",
    codes: checkCodes,
  },
  {
    usage: "doctor",
    summary: "what is wrong on this host, and the one command that mends it",
    codes: checkCodes,
  },
  {
    usage: "apply FILE|-",
    summary: "make Docker as a topology document says, and tell the master",
    codes: changeCodes,
  },
  {
    usage: "teardown ID",
    summary: "remove all of a topology from Docker and the store",
    codes: changeCodes,
  },
  {
    usage: "hash FILE|-",
    summary: "the version hash of a topology document",
    codes: hashCodes,
    isUnconfigured: true,
  },
  {
    usage: "print WHAT",
    summary: "a file for this host, made for this executable",
    codes: printCodes,
    isUnconfigured: true,
  },
];

/** What `print` can print, and what it is. */
export const printables = {
  "systemd-service": "the unit of the loop",
  "systemd-timer": "a timer and its service, for --once",
  "cron": "a line for cron, for --once",
  "config": "an ini file with every key",
  "man": "the man page",
  "completion": "completions, for bash, zsh or fish",
} as const;

/** The name of something that `print` can print. */
export type PrintableFile = keyof typeof printables;

/** The shells that there are completions for. */
export const shells = ["bash", "zsh", "fish"] as const;

/** A shell that there are completions for. */
export type Shell = (typeof shells)[number];

/** All flags but those of the configuration. */
export const optionUsages: readonly OptionUsage[] = [
  {
    flag: "--json",
    placeholder: null,
    commands: ["--once", "state", "doctor", "apply", "teardown", "hash", "--version"],
    summary: "print JSON",
  },
  {
    flag: "--quiet",
    placeholder: null,
    commands: ["--once"],
    summary: "print nothing when all is well",
  },
  {
    flag: "--dry-run",
    placeholder: null,
    commands: ["--once", "apply"],
    summary: "do not send the beat; print what an apply would change, and change nothing",
  },
  {
    flag: "--stored",
    placeholder: null,
    commands: ["apply"],
    summary: "instead of FILE: apply once more the document that the store holds",
  },
  {
    flag: "--hash",
    placeholder: "HEX",
    commands: ["apply"],
    summary: "refuse a document that has another version hash",
  },
  {
    flag: "--no-wait",
    placeholder: null,
    commands: ["apply", "teardown"],
    summary: "refuse when another one is under way",
  },
  {
    flag: "--config",
    placeholder: "FILE",
    commands: [],
    summary: "another ini file than /etc/decnet/decnet.ini; section [agent]",
  },
  {
    flag: "--version",
    placeholder: null,
    commands: [],
    summary: "versions of the agent, Deno and SQLite",
  },
  {
    flag: "--help",
    placeholder: null,
    commands: [],
    summary: "this text; with a command, what concerns that one",
  },
];

/** All that is told of the command line, for what is printed of it. */
export const tables: CliSpec = {
  version: agentVersion,
  commands: commandUsages,
  options: optionUsages,
  keys: keyNames.map((name) => ({ name, variable: variableOf(name), ...keys[name] })),
  printables,
  shells,
  checkCodes,
  changeCodes,
};

/** What `--help` prints. */
export function helpText(): string {
  const commands = commandUsages.map(({ usage, summary }) =>
    `  ${`decnet-agent ${usage}`.padEnd(27)} ${summary}`
  );
  const options = optionUsages.map((option) => {
    const { commands } = option;
    return optionText(option) + (commands.length > 0 ? ` (with ${commands.join(", ")})` : "");
  });
  const flags = keyNames.map((name) => {
    const { placeholder, summary, fallback } = keys[name];
    return `  --${name} ${placeholder}\n      ${summary}\n      default: ${fallback}`;
  });
  return `decnet-agent: runs on a host of decoys and tells the master what is there

usage
${commands.join("\n")}

options
${options.join("\n")}

what print prints
${printablesText()}

configuration
  The first that is set counts: the flag, the variable (${variableOf("master-host")} for
  --master-host), the key in the ini file (master-host = …), the default.

${flags.join("\n")}

exit codes
${codesText(checkCodes)}

exit codes of apply and teardown
${codesText(changeCodes)}
`;
}

/** What `--help` prints beside a command, which is named by its first word. */
export function commandHelpText(name: string): string {
  const { usage, summary, codes, isUnconfigured } = commandUsages.find((it) =>
    it.usage.split(" ")[0] === name
  )!;
  const options = optionUsages.filter(({ flag, commands }) =>
    commands.includes(name) || flag === "--help" || (flag === "--config" && !isUnconfigured)
  );
  return [
    `decnet-agent ${usage}: ${summary}`,
    `options\n${options.map(optionText).join("\n")}`,
    ...(name === "print" ? [`what print prints\n${printablesText()}`] : []),
    ...(isUnconfigured ? [] : [`configuration\n  ${configurationText}`]),
    `exit codes\n${codesText(codes)}`,
  ].join("\n\n").concat("\n");
}

const configurationText =
  "Each key is a flag, too, such as --state-dir DIR; decnet-agent --help lists them.";

function optionText({ flag, placeholder, summary }: OptionUsage): string {
  return `  ${placeholder ? `${flag} ${placeholder}` : flag}\n      ${summary}`;
}

function printablesText(): string {
  return Object.entries(printables).map(([what, summary]) =>
    `  ${(what === "completion" ? `completion ${shells.join("|")}` : what).padEnd(27)} ${summary}`
  ).join("\n");
}

function codesText(table: CodeTable): string {
  return table.map(([code, meaning]) => `  ${code.padEnd(12)} ${meaning}`).join("\n");
}
