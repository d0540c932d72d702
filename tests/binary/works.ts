/** Whether a program runs here with these arguments. */
export async function works(program: string, ...args: string[]): Promise<boolean> {
  try {
    const output = { stdin: "null", stdout: "null", stderr: "null" } as const;
    return (await new Deno.Command(program, { args, ...output }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
