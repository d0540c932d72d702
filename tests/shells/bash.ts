import { runShell } from "./run.ts";

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
