import assert from "node:assert/strict";

/** What to run, and when to end it. */
export interface KillOptions {
  readonly args: string[];
  /** How long after its first word, in milliseconds. */
  readonly killAfterMs: number;
}

/** Runs a program of tests/ and kills it; answers the lines that it printed until then. */
export async function killAtRandom(
  program: string,
  { args, killAfterMs }: KillOptions,
): Promise<string[]> {
  await using child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--no-check", "-A", import.meta.resolve(program), ...args],
    stdout: "piped",
  }).spawn();
  let text = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    timer ??= setTimeout(() => child.kill("SIGKILL"), killAfterMs);
  }
  clearTimeout(timer);
  const { signal } = await child.status;
  assert.equal(signal, "SIGKILL", "it ended by itself");
  // A line that was cut off was begun before what comes after it, and says nothing.
  return text.split("\n").slice(0, -1);
}
