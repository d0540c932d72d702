import type { CliSpec } from "./config.ts";

/** A word, and what it is. */
type Described = readonly [word: string, summary: string];

/** What may follow a flag, or stand as an operand. */
type ValueKind = "file" | "folder" | "truth" | "none";

/** A flag as completions need it. */
interface Flag {
  readonly name: string;
  readonly summary: string;
  /** The commands that it goes with; empty with all. One that is a command goes with itself. */
  readonly commands: readonly string[];
  /** What stands for its value; null for a switch. */
  readonly placeholder: string | null;
  readonly kind: ValueKind;
}

/** What can be completed. */
interface Words {
  /** First words, without those that are flags. */
  readonly commands: readonly Described[];
  /** The commands whose operand is a file. */
  readonly fileCommands: readonly string[];
  /** Flags that are commands of their own, such as `--once`, then all others. */
  readonly flags: readonly Flag[];
  readonly printables: readonly Described[];
  readonly shells: readonly string[];
}

/** The words of a command line, out of the tables that the help is made of. */
function wordsOf({ commands, options, keys, printables, shells }: CliSpec): Words {
  const named = commands.map(({ usage, summary }) => {
    const [name = "", operand = ""] = usage.split(" ");
    return { name, operand, summary };
  }).filter(({ name }) => name !== "");
  const plain = named.filter(({ name }) => !name.startsWith("-"));
  return {
    commands: plain.map(({ name, summary }) => [name, summary]),
    fileCommands: plain.filter(({ operand }) => operand.startsWith("FILE")).map((it) => it.name),
    flags: [
      ...named.filter(({ name }) => name.startsWith("-"))
        .map(({ name, summary }): Flag => {
          return { name, summary, commands: [name], placeholder: null, kind: "none" };
        }),
      ...options.map(({ flag: name, ...it }): Flag => ({ ...it, name, kind: kindOf(it) })),
      ...keys.map(({ name, placeholder, summary }): Flag => {
        const kind = kindOf({ placeholder });
        return { name: `--${name}`, summary, commands: [], placeholder, kind };
      }),
    ],
    printables: Object.entries(printables),
    shells,
  };
}

function kindOf({ placeholder }: Pick<Flag, "placeholder">): ValueKind {
  const kinds = new Map<string | null, ValueKind>([["FILE", "file"], ["DIR", "folder"]]);
  return placeholder === "BOOL" ? "truth" : kinds.get(placeholder) ?? "none";
}

/** The flags whose value is of a kind. */
function namesOf(flags: readonly Flag[], kind: ValueKind): string[] {
  return flags.filter((flag) => flag.placeholder !== null && flag.kind === kind)
    .map(({ name }) => name);
}

/** Completions for bash. */
function bashCompletion({ commands, fileCommands, flags, printables, shells }: Words) {
  const own = flags.filter(({ commands, name }) => commands.includes(name));
  const names = [...commands.map(([name]) => name), ...own.map(({ name }) => name)];
  const withValue = flags.filter(({ placeholder }) => placeholder !== null);
  return `# Completions of decnet-agent for bash, as "decnet-agent print completion bash" prints them: a file for
# /etc/bash_completion.d, or for ~/.local/share/bash-completion/completions.

_decnet_agent() {
  local current=\${COMP_WORDS[COMP_CWORD]} command='' flag='' last='' word at i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case $word in
      ${withValue.map(({ name }) => name).join(" | ")})
        # The value is the next word; bash makes the = before it a word of its own.
        at=$((i + 1))
        if [[ \${COMP_WORDS[at]} == = ]]; then
          if ((at == COMP_CWORD)); then current=''; else ((at++)); fi
        fi
        if ((at >= COMP_CWORD)); then flag=$word; fi
        i=$at
        ;;
      ${names.join(" | ")})
        if [[ -z $command ]]; then command=$word; fi
        last=$word
        ;;
      *) last=$word ;;
    esac
  done

  local words=''
  case $flag in
    '') ;;
    ${cases(flags)}
    *) return ;;
  esac
  if [[ -z $flag ]]; then
    if [[ $current == -* ]]; then
      words='${
    flags.filter(({ commands }) => commands.length === 0).map(({ name }) => name).join(" ")
  }'
      ${restricted(flags)}
    else
      case $command in
        '') words='${commands.map(([name]) => name).join(" ")}' ;;
        ${fileCommands.join(" | ")}) words=FILES ;;
        print)
          if [[ $last == print ]]; then
            words='${printables.map(([name]) => name).join(" ")}'
          elif [[ $last == completion ]]; then
            words='${shells.join(" ")}'
          fi
          ;;
      esac
    fi
  fi

  case $words in
    FILES) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    FOLDERS) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current") ;;
  esac
  if [[ $words == FILES || $words == FOLDERS ]]; then compopt -o filenames 2>/dev/null; fi
}
complete -F _decnet_agent decnet-agent
`;
}

/** What the value of a flag may be. */
function cases(flags: readonly Flag[]): string {
  return [
    `${namesOf(flags, "file").join(" | ")}) words=FILES ;;`,
    `${namesOf(flags, "folder").join(" | ")}) words=FOLDERS ;;`,
    `${namesOf(flags, "truth").join(" | ")}) words='true false' ;;`,
  ].join("\n    ");
}

/** The flags that go with some commands only. */
function restricted(flags: readonly Flag[]): string {
  return flags.filter(({ commands }) => commands.length > 0).map(({ name, commands }) => {
    return `case $command in '' | ${commands.join(" | ")}) words+=' ${name}' ;; esac`;
  }).join("\n      ");
}

const values: Readonly<Record<ValueKind, string>> = {
  file: "-r -F",
  folder: "-x -a '(__fish_complete_directories)'",
  truth: "-x -a 'true false'",
  none: "-x",
};

/** Completions for fish. */
function fishCompletion({ commands, fileCommands, flags, printables, shells }: Words) {
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

const actions: Readonly<Record<ValueKind, string>> = {
  file: "_files",
  folder: "_files -/",
  truth: "(true false)",
  none: "",
};

/** Completions for zsh. */
function zshCompletion({ commands, fileCommands, flags, printables, shells }: Words) {
  const own = flags.filter(({ commands, name }) => commands.includes(name));
  const names = [...commands.map(([name]) => name), ...own.map(({ name }) => name)];
  const withValue = flags.filter(({ placeholder }) => placeholder !== null);
  return `#compdef decnet-agent
# Completions of decnet-agent for zsh, as "decnet-agent print completion zsh" prints them: a file named
# _decnet-agent in a folder of $fpath.

_decnet-agent() {
  local word command is_value
  for word in \${words[2,CURRENT-1]}; do
    if [[ -n $is_value ]]; then
      is_value=
      continue
    fi
    case $word in
      (${withValue.map(({ name }) => name).join("|")}) is_value=yes ;;
      (${names.join("|")}) command=$word; break ;;
    esac
  done

  local -a flags
  flags=(
    ${flags.filter(({ commands }) => commands.length === 0).map(spec).join("\n    ")}
  )
  ${flags.filter(({ commands }) => commands.length > 0).map(restrictedZsh).join("\n  ")}

  local curcontext=$curcontext state state_descr line
  local -A opt_args
  _arguments -C $flags '1: :->first' '2: :->second' '3: :->third' && return
  local -a choices
  case $state in
    (first)
      if [[ -n $command ]]; then return 1; fi
      choices=(
        ${choices(commands, 8)}
      )
      _describe -t commands command choices
      ;;
    (second)
      case $command in
        (${fileCommands.join("|")}) _files ;;
        (print)
          choices=(
            ${choices(printables, 12)}
          )
          _describe -t files file choices
          ;;
      esac
      ;;
    (third)
      if [[ $command == print && $line[2] == completion ]]; then
        choices=(${shells.join(" ")})
        _describe -t shells shell choices
      fi
      ;;
  esac
}

# It is sourced, or loaded when it is called for the first time; then this is what is called from now on.
if [[ $funcstack[1] == _decnet-agent ]]; then
  _decnet-agent "$@"
else
  compdef _decnet-agent decnet-agent
fi
`;
}

function choices(words: readonly Described[], indent: number): string {
  return words.map(([word, summary]) => quotedZsh(`${word}:${summary}`))
    .join(`\n${" ".repeat(indent)}`);
}

/** A flag for _arguments, with what it is and what its value may be. */
function spec({ name, summary, placeholder, kind }: Flag): string {
  const described = `[${summary.replace(/[[\]\\]/g, "\\$&")}]`;
  if (placeholder === null) return quotedZsh(`${name}${described}`);
  return quotedZsh(`${name}=${described}:${placeholder.replaceAll(":", "\\:")}:${actions[kind]}`);
}

function restrictedZsh(flag: Flag): string {
  const pattern = `(|${flag.commands.join("|")})`;
  return `if [[ $command == ${pattern} ]]; then flags+=(${spec(flag)}); fi`;
}

function quotedZsh(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

const writers = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

/** Completions of the command line for a shell. */
export function completion(shell: keyof typeof writers, tables: CliSpec): string {
  return writers[shell](wordsOf(tables));
}
