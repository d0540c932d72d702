import assert from "node:assert/strict";

/** What a test needs of the machine. */
export interface Requirement {
  readonly isPresent: boolean;
  /** Defines a test that needs it; skipped where it is absent, but never in CI: there it fails. */
  test(name: string, run: (context: Deno.TestContext) => Promise<void>): void;
}

/** Returns the requirement of `what`, such as `a Docker engine`, which is present here or not. */
export function requirement(what: string, isPresent: boolean): Requirement {
  return {
    isPresent,
    test(name, run) {
      Deno.test({
        name: isPresent ? name : `${name} (needs ${what})`,
        ignore: !isPresent && !Deno.env.get("CI"),
        async fn(context) {
          if (!isPresent) throw new Error(`This test needs ${what}, and CI skips nothing`);
          await run(context);
        },
      });
    },
  };
}

/** Python's own json and sqlite3 are what the first agent and the master use. */
export const python: Requirement = requirement("python3", await works("python3", "--version"));

/** A client that masters are often written for. */
export const node: Requirement = requirement("node", await works("node", "--version"));

/** What the master and its tools may use for TLS. */
export const openssl: Requirement = requirement("openssl", await works("openssl", "version"));

/** Runs a program; returns its standard output. Throws `Error`, with what it printed, when it fails. */
export async function outputOf(
  [program = "", ...args]: readonly string[],
  options: { readonly cwd?: string; readonly env?: Record<string, string> } = {},
): Promise<string> {
  const output = await new Deno.Command(program, { args, stdin: "null", ...options }).output();
  const [stdout, stderr] = [output.stdout, output.stderr].map((it) => new TextDecoder().decode(it));
  if (output.success) return stdout!;
  throw new Error(`${program} ${args.join(" ")} failed: ${stdout}${stderr}`);
}

/** Checks what Prometheus reads. */
export const promtool = {
  ...requirement("promtool, of the package prometheus", await works("promtool", "--version")),
  /** Runs it, with a text on standard input or none. Throws what it finds wrong. */
  async run(args: readonly string[], input = ""): Promise<void> {
    const piped = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
    const process = new Deno.Command("promtool", { args: [...args], ...piped }).spawn();
    const writer = process.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
    const { code, stdout, stderr } = await process.output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.equal(code, 0, said);
    // For bad style it exits with 0, and only warns.
    if (args[0] === "check" && args[1] === "metrics") assert.equal(said, "");
  },
};

/** Returns true when a program exits with 0 here. */
export async function works(program: string, ...args: string[]): Promise<boolean> {
  try {
    const output = { stdin: "null", stdout: "null", stderr: "null" } as const;
    return (await new Deno.Command(program, { args, ...output }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** What starts a program to which file permissions apply: to root they do not, with these rights. */
export const confined: readonly string[] = Deno.uid() === 0
  ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
  : ["env"];

/** What tests with such a program need. */
export const confinement: Requirement = requirement(
  "setpriv, as root",
  await works(confined[0]!, ...confined.slice(1), "true"),
);

/** What tests need that mount what no other process sees. */
export const mounts = requirement("unshare, as root", await works("unshare", "-m", "true"));

/** Creates a named pipe without a writer: opening it for reading never ends. */
export async function makeFifo(path: string): Promise<void> {
  await outputOf(["mkfifo", path]);
}

/** What tests with named pipes need. */
export const mkfifo = requirement("mkfifo", await works("mkfifo", "--version"));
