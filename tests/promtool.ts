import assert from "node:assert/strict";
import { requirement } from "./requirements.ts";

const program = "promtool";

function isPresent(): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}

/** The judge of what Prometheus is given to read. */
export const promtool = {
  ...requirement("promtool, of the package prometheus", isPresent()),
  /** Runs it, with a text on standard input or none. Throws what it finds wrong. */
  async run(args: readonly string[], input = ""): Promise<void> {
    const process = new Deno.Command(program, {
      args: [...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = process.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
    const { code, stdout, stderr } = await process.output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.equal(code, 0, said);
    // It warns, and ends with 0, of what is no good style.
    if (args[0] === "check" && args[1] === "metrics") assert.equal(said, "");
  },
};
