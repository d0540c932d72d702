import type { CommandText, FlagText, KeyText } from "../cli/help.ts";

/** The parts of a command line. */
interface CommandLine {
  readonly commands: readonly CommandText[];
  readonly flags: readonly FlagText[];
  readonly keys: readonly KeyText[];
  readonly printables: readonly string[];
}

/** Completions of the command line for bash. */
export function bashCompletion({ commands, flags, keys, printables }: CommandLine): string {
  const names = commands.map(({ name }) => name);
  const words = names.filter((name) => !name.startsWith("-"));
  const withFile = commands.filter(({ usage }) => usage.includes(" FILE"))
    .map(({ name }) => name);
  const all: readonly Pick<FlagText, "flag" | "placeholder" | "commands">[] = [
    // A flag that is a command goes with itself.
    ...names.filter((name) => name.startsWith("-"))
      .map((flag) => ({ flag, placeholder: null, commands: [flag] })),
    ...flags,
    ...keys.map(({ name, placeholder }) => ({ flag: `--${name}`, placeholder, commands: [] })),
  ];
  const listed = (choose: (flag: typeof all[number]) => boolean, separator = " | ") =>
    all.filter(choose).map(({ flag }) => flag).join(separator);
  const restrictions = all.filter(({ commands }) => commands.length > 0).map((it) =>
    `case $command in '' | ${it.commands.join(" | ")}) words+=' ${it.flag}' ;; esac`
  );
  return `# Completions of decnet-agent for bash, as "decnet-agent print completion bash" prints them: a file for
# /etc/bash_completion.d, or for ~/.local/share/bash-completion/completions.

_decnet_agent() {
  local current=\${COMP_WORDS[COMP_CWORD]} command='' flag='' last='' word at i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case $word in
      ${listed(({ placeholder }) => placeholder !== null)})
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
    ${listed(({ placeholder }) => placeholder === "FILE")}) words=FILES ;;
    ${listed(({ placeholder }) => placeholder === "DIR")}) words=FOLDERS ;;
    ${listed(({ placeholder }) => placeholder === "BOOL")}) words='true false' ;;
    *) return ;;
  esac
  if [[ -z $flag ]]; then
    if [[ $current == -* ]]; then
      words='${listed(({ commands }) => commands.length === 0, " ")}'
      ${restrictions.join("\n      ")}
    else
      case $command in
        '') words='${words.join(" ")}' ;;
        ${withFile.join(" | ")}) words=FILES ;;
        help) if [[ $last == help ]]; then words='${words.join(" ")}'; fi ;;
        print)
          if [[ $last == print ]]; then
            words='${printables.join(" ")}'
          elif [[ $last == completion ]]; then
            words=bash
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
