import { type Flag, namesOf, type Words } from "./completion_words.ts";

/** Completions for bash. */
export function bashCompletion({ commands, fileCommands, flags, printables, shells }: Words) {
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
