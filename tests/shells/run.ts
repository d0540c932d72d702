/** Runs a program of a shell in a folder, away from all settings of this user. Throws on failure. */
export async function runShell(
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
