import type { Flag, ValueKind, Words } from "./completion_words.ts";

const values: Readonly<Record<ValueKind, string>> = {
  file: "-r -F",
  folder: "-x -a '(__fish_complete_directories)'",
  truth: "-x -a 'true false'",
  none: "-x",
};

/** Completions for fish. */
export function fishCompletion({ commands, fileCommands, flags, printables, shells }: Words) {
  const own = flags.filter(({ commands, name }) => commands.includes(name));
  const names = [...commands.map(([name]) => name), ...own.map(({ name }) => name)];
  const withValue = flags.filter(({ placeholder }) => placeholder !== null);
  const line = (...parts: string[]) => ["complete -c decnet-agent", ...parts].join(" ");
  return `# Completions of decnet-agent for fish, as "decnet-agent print completion fish" prints them: a file
# named decnet-agent.fish in /etc/fish/completions, or in ~/.config/fish/completions.

# Whether the command on the line is one of these; '' is none yet.
function __decnet_agent_command
    set -l command ''
    set -l is_value no
    for word in (commandline -opc)
        if test $is_value = yes
            set is_value no
        else if contains -- $word ${withValue.map(({ name }) => name).join(" ")}
            set is_value yes
        else if contains -- $word ${names.join(" ")}
            set command $word
            break
        end
    end
    contains -- "$command" $argv
end

# Whether the command is print, and the word before the cursor this one.
function __decnet_agent_print
    set -l words (commandline -opc)
    __decnet_agent_command print; and test "$words[-1]" = $argv[1]
end

${line("-f")}
${
    commands.map(([name, summary]) =>
      line(`-n "__decnet_agent_command ''" -a ${name} -d ${quoted(summary)}`)
    ).join("\n")
  }
${
    printables.map(([name, summary]) =>
      line(`-n '__decnet_agent_print print' -a ${name} -d ${quoted(summary)}`)
    ).join("\n")
  }
${line(`-n '__decnet_agent_print completion' -a '${shells.join(" ")}'`)}
${line(`-n '__decnet_agent_command ${fileCommands.join(" ")}' -F`)}
${flags.map((flag) => line(option(flag))).join("\n")}
`;
}

function option({ name, commands, summary, placeholder, kind }: Flag): string {
  const condition = commands.length > 0
    ? [`-n "__decnet_agent_command '' ${commands.join(" ")}"`]
    : [];
  const value = placeholder === null ? [] : [values[kind]];
  return [...condition, `-l ${name.slice(2)}`, ...value, `-d ${quoted(summary)}`].join(" ");
}

function quoted(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
