import { runShell } from "./run.ts";

const program = `
source ./decnet-agent.fish
for line in $argv
    echo "? $line"
    complete --do-complete "$line"
end
`;

/** What fish offers at the end of each line. */
export async function askFish(folder: string, lines: readonly string[]): Promise<string[][]> {
  const stdout = await runShell(["fish", "--no-config", "-c", program, ...lines], folder);
  return stdout.split(/^\? .*\n/m).slice(1).map((answer) => {
    return answer.split("\n").slice(0, -1).map((line) => line.split("\t")[0]!);
  });
}
