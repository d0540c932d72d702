import { requirement } from "../requirements.ts";

/** Makes a named pipe that nobody opens: who opens it to read waits for ever. */
export async function makeFifo(path: string): Promise<void> {
  const { success } = await new Deno.Command("mkfifo", { args: [path], stdin: "null" }).output();
  if (!success) throw new Error(`mkfifo ${path} failed`);
}

async function isThere(): Promise<boolean> {
  const folder = await Deno.makeTempDir();
  try {
    await makeFifo(`${folder}/fifo`);
    return true;
  } catch {
    return false;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What tests with named pipes need. */
export const mkfifo = requirement("mkfifo", await isThere());
