import { keyNames, keys, variableOf } from "./keys.ts";
import {
  changeCodes,
  checkCodes,
  commandUsages,
  optionUsages,
  printables,
  shells,
} from "./usage.ts";

/** What `--help` prints. */
export function helpText(): string {
  const commands = commandUsages.map(({ usage, summary }) =>
    `  ${`decnet-agent ${usage}`.padEnd(27)} ${summary}`
  );
  const options = optionUsages.map(({ flag, placeholder, commands, summary }) => {
    const goesWith = commands.length > 0 ? ` (with ${commands.join(", ")})` : "";
    return `  ${placeholder ? `${flag} ${placeholder}` : flag}\n      ${summary}${goesWith}`;
  });
  const whats = Object.entries(printables).map(([what, summary]) =>
    `  ${(what === "completion" ? `completion ${shells.join("|")}` : what).padEnd(27)} ${summary}`
  );
  const flags = keyNames.map((name) => {
    const { placeholder, summary, fallback } = keys[name];
    return `  --${name} ${placeholder}\n      ${summary}\n      default: ${fallback}`;
  });
  const codes = (table: typeof checkCodes) =>
    table.map(([code, meaning]) => `  ${code.padEnd(12)} ${meaning}`).join("\n");
  return `decnet-agent: runs on a host of decoys and tells the master what is there

usage
${commands.join("\n")}

options
${options.join("\n")}

what print prints
${whats.join("\n")}

configuration
  The first that is set counts: the flag, the variable (${variableOf("master-host")} for
  --master-host), the key in the ini file (master-host = …), the default.

${flags.join("\n")}

exit codes
${codes(checkCodes)}

exit codes of apply and teardown
${codes(changeCodes)}
`;
}
