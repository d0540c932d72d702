import { TypedTerminal } from "./terminal.ts";

/** Shown when zsh waits for a line, and around its answers. */
const marks = { ready: "<ready>", begin: "<begin>", end: "<end>" };

/** Has compadd tell what is offered; ^Xm writes that down and empties the line. */
const settings = `
stty cols 1000 rows 1000
LISTMAX=-1
unsetopt zle_bracketed_paste prompt_cr prompt_sp
setopt no_beep no_auto_menu
fpath=($PWD $fpath)
autoload -Uz compinit
compinit -u -D
typeset -aU offered
compadd() {
  # With these, it offers nothing, but answers into an array.
  if [[ " \${(j: :)@[1,(i)--]}" == *' -'[OAD]' '* ]]; then
    builtin compadd "$@"
    return
  fi
  local -a matching
  builtin compadd -O matching "$@"
  offered+=($matching)
  builtin compadd "$@"
}
mark() {
  print -rn -- "${marks.begin}\${(F)offered}${marks.end}"
  offered=()
  BUFFER=
}
zle -N mark
bindkey '^Xm' mark
PS1='${marks.ready}'
`;

/** What zsh offers at the end of each line, after `preparation`. */
export async function askZsh(
  folder: string,
  lines: readonly string[],
  preparation = "",
): Promise<string[][]> {
  await Deno.writeTextFile(`${folder}/.zshrc`, `${settings}${preparation}\n`);
  await using terminal = new TypedTerminal("zsh --no-global-rcs", folder);
  const answers: string[][] = [];
  let prompt = marks.ready;
  for (const line of lines) {
    await terminal.type(`${line}\t\x18m`, prompt);
    await terminal.type("", marks.begin);
    const answer = await terminal.type("", marks.end);
    answers.push(answer.split(/\r?\n/).filter(Boolean));
    prompt = "";
  }
  return answers;
}
