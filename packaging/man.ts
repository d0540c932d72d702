import { examples, files, prose, signals, variables } from "./man_texts.ts";
import {
  example,
  item,
  literal,
  paragraph,
  section,
  sentence,
  subsection,
  synopsis,
} from "./roff.ts";
import type { CodeTable, CommandText, KeyText, OptionText, Tables } from "./tables.ts";

/** The man page, decnet-agent(1), as roff. */
export function man(tables: Tables): string {
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
