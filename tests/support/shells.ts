import { TypedTerminal } from "./terminal.ts";

/** Runs a program of a shell in a folder, away from all settings of this user. Throws on failure. */
async function runShell(
  [program, ...args]: readonly [string, ...string[]],
  folder: string,
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args,
    cwd: folder,
    env: { PATH: Deno.env.get("PATH") ?? "", HOME: folder, LANG: "C.UTF-8", TERM: "dumb" },
    clearEnv: true,
    stdin: "null",
  }).output();
  const said = new TextDecoder().decode(stderr);
  if (!success || said !== "") throw new Error(`${program} failed: ${said}`);
  return new TextDecoder().decode(stdout);
}

const program = `
source ./decnet-agent.bash
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_decnet_agent decnet-agent
((\${#COMPREPLY[@]} == 0)) || printf '%s\\n' "\${COMPREPLY[@]}"
`;

/** What bash offers at the end of each line. */
export async function askBash(folder: string, lines: readonly string[]): Promise<string[][]> {
  const answers: string[][] = [];
  for (const line of lines) {
    // As $COMP_WORDBREAKS has it.
    const words = line.split(" ").flatMap((word) => word.split(/(=)/).filter(Boolean));
    if (line.endsWith(" ")) words.push("");
    const options = ["--norc", "--noprofile", "-u", "-c", program, "bash"];
    const stdout = await runShell(["bash", ...options, ...words], folder);
    answers.push(stdout.split("\n").slice(0, -1));
  }
  return answers;
}

const programFish = `
source ./decnet-agent.fish
for line in $argv
    echo "? $line"
    complete --do-complete "$line"
end
`;

/** What fish offers at the end of each line. */
export async function askFish(folder: string, lines: readonly string[]): Promise<string[][]> {
  const stdout = await runShell(["fish", "--no-config", "-c", programFish, ...lines], folder);
  return stdout.split(/^\? .*\n/m).slice(1).map((answer) => {
    return answer.split("\n").slice(0, -1).map((line) => line.split("\t")[0]!);
  });
}

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
