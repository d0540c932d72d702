import { keyNames, keys, variableOf } from "./keys.ts";
import {
  changeCodes,
  checkCodes,
  type CodeTable,
  commandUsages,
  type OptionUsage,
  optionUsages,
  printables,
  shells,
} from "./usage.ts";

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
