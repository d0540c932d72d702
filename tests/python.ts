import { type Requirement, requirement } from "./requirements.ts";

/** That python3 is there, whose own json and sqlite3 are what the first agent and the master use. */
export const python: Requirement = requirement("python3", await isPresent());

/** Runs a Python program and answers its standard output. Throws `Error` when it fails. */
export async function runPython(program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("python3", {
    args: ["-c", program, ...args],
  }).output();
  if (success) return new TextDecoder().decode(stdout);
  throw new Error(`python3 failed: ${new TextDecoder().decode(stderr)}`);
}

async function isPresent(): Promise<boolean> {
  try {
    const { success } = await new Deno.Command("python3", { args: ["--version"] }).output();
    return success;
  } catch {
    return false;
  }
}
