import type { Described, Flag, ValueKind, Words } from "./completion_words.ts";

const actions: Readonly<Record<ValueKind, string>> = {
  file: "_files",
  folder: "_files -/",
  truth: "(true false)",
  none: "",
};

/** Completions for zsh. */
export function zshCompletion({ commands, fileCommands, flags, printables, shells }: Words) {
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
  ${flags.filter(({ commands }) => commands.length > 0).map(restricted).join("\n  ")}

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
  return words.map(([word, summary]) => quoted(`${word}:${summary}`))
    .join(`\n${" ".repeat(indent)}`);
}

/** A flag for _arguments, with what it is and what its value may be. */
function spec({ name, summary, placeholder, kind }: Flag): string {
  const described = `[${summary.replace(/[[\]\\]/g, "\\$&")}]`;
  if (placeholder === null) return quoted(`${name}${described}`);
  return quoted(`${name}=${described}:${placeholder.replaceAll(":", "\\:")}:${actions[kind]}`);
}

function restricted(flag: Flag): string {
  const pattern = `(|${flag.commands.join("|")})`;
  return `if [[ $command == ${pattern} ]]; then flags+=(${spec(flag)}); fi`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
