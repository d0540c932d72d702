const program = `
source ./decnet-agent.bash
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_decnet_agent decnet-agent
((\${#COMPREPLY[@]} == 0)) || printf '%s\\n' "\${COMPREPLY[@]}"
`;

/** Returns what bash completes at the end of each line, away from all settings of this user. */
export async function askBash(folder: string, lines: readonly string[]): Promise<string[][]> {
  const answers: string[][] = [];
  for (const line of lines) {
    // Split as $COMP_WORDBREAKS says.
    const words = line.split(" ").flatMap((word) => word.split(/(=)/).filter(Boolean));
    if (line.endsWith(" ")) words.push("");
    const { success, stdout, stderr } = await new Deno.Command("bash", {
      args: ["--norc", "--noprofile", "-u", "-c", program, "bash", ...words],
      cwd: folder,
      env: { PATH: Deno.env.get("PATH") ?? "", HOME: folder, LANG: "C.UTF-8", TERM: "dumb" },
      clearEnv: true,
      stdin: "null",
    }).output();
    const errors = new TextDecoder().decode(stderr);
    if (!success || errors !== "") throw new Error(`bash failed: ${errors}`);
    answers.push(new TextDecoder().decode(stdout).split("\n").slice(0, -1));
  }
  return answers;
}
