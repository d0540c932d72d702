import { basename, dirname, join } from "node:path";
import { stripSymbols } from "./elf.ts";

type Environment = Readonly<Record<string, string>>;

/** How a program is run; with `env` it sees those variables and no others. */
interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Environment;
  /** The program is ended after this time; ten minutes if not given. */
  readonly timeoutMs?: number;
}

/**
 * Runs a program to its end and returns its standard output. Throws `Error`, with what it wrote to
 * standard error, when it exits with another code than 0 or takes too long, and
 * `Deno.errors.NotFound` when there is no such program.
 */
export async function run(
  program: string,
  args: readonly string[],
  { cwd, env, timeoutMs = 600_000 }: CommandOptions = {},
): Promise<string> {
  const signal = AbortSignal.timeout(timeoutMs);
  const output = await new Deno.Command(program, {
    args: [...args],
    ...(cwd !== undefined && { cwd }),
    ...(env !== undefined && { env: { ...env }, clearEnv: true }),
    stdin: "null",
    signal,
  }).output();
  if (output.success) return new TextDecoder().decode(output.stdout);
  const ending = signal.aborted
    ? `took longer than ${timeoutMs / 1000} s`
    : `ended with ${output.signal ?? `code ${output.code}`}`;
  // Without Deno's list of downloads and its native stack.
  const [errors = ""] = new TextDecoder().decode(output.stderr).split(/^Stack backtrace:/m);
  const name = `${basename(program)} ${args[0] ?? ""}`.trimEnd();
  throw new Error(`${name} ${ending}\n${errors.replaceAll(/^Download .*\n/gm, "")}`.trimEnd());
}

/**
 * Runs a tool with the arguments and the environment of this process. Prints its error and exits
 * with 1 when it fails.
 */
export async function runTool(
  main: (args: string[], env: Record<string, string>) => Promise<void>,
): Promise<void> {
  try {
    await main(Deno.args, Deno.env.toObject());
  } catch (error) {
    // deno-lint-ignore no-console
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}

/** What the executable is made for, and from which runtime. */
interface BuildOptions {
  readonly target: string;
  /** The runtime base, already checked. */
  readonly base: Uint8Array;
  readonly env: Environment;
  /** The program, from the root; main.ts if not given. */
  readonly entry?: string;
  /** For V8, besides those that the agent has. */
  readonly v8Flags?: readonly string[];
}

/** The name of the program that the executable embeds, seen in its stack traces. */
const script = "decnet-agent.js";

/** The variables that `deno compile` needs; any other one could change the result. */
const compileVariables = [
  ...["HOME", "PATH", "TMPDIR", "XDG_CACHE_HOME", "DENO_DIR"],
  // With another clock, reproducible.ts shows that the time does not go in.
  ...["LD_PRELOAD", "FAKETIME"],
];

/**
 * Builds the executable of the work tree in `root`, the same bytes for the same tree: neither folder
 * names nor the time of the build nor other variables go in. The output appears by a rename when it
 * is complete.
 */
export async function build(
  root: string,
  output: string,
  { target, base, env, entry = "main.ts", v8Flags = [] }: BuildOptions,
): Promise<void> {
  // Beside the output, so that the rename stays within one file system.
  const scratch = await Deno.makeTempDir({ dir: dirname(output), prefix: ".compile-" });
  try {
    await Deno.writeFile(join(scratch, "denort"), stripSymbols(base), { mode: 0o755 });
    // The project's own configuration would add the import map of its tests, and its path.
    const config = JSON.parse(await Deno.readTextFile(join(root, "deno.json")));
    const { version, unstable, permissions } = config;
    const ownConfig = JSON.stringify({ version, unstable, permissions });
    await Deno.writeTextFile(join(scratch, "deno.json"), ownConfig);
    const time = await sourceTime(root, env);
    const folder = join(scratch, "bundle");
    await bundle(root, { entry, folder, env });
    await Deno.rename(join(folder, basename(entry).replace(/ts$/, "js")), join(folder, script));
    const source = await describeSource(root, time);
    for await (const { name } of Deno.readDir(folder)) {
      const text = await Deno.readTextFile(join(folder, name));
      await Deno.writeTextFile(
        join(scratch, name),
        text.replace(/(decnet-agent source:) dev/, `$1 ${source}`),
      );
      await Deno.utime(join(scratch, name), time, time);
    }
    await compile(scratch, { target, env, v8Flags });
    await Deno.rename(join(scratch, "decnet-agent"), output);
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

/** Bundles the program: `deno compile --bundle` would embed a file of a random name. */
async function bundle(
  root: string,
  { entry, folder, env }: { entry: string; folder: string; env: Environment },
): Promise<void> {
  // Keeps all other variables: downloads of packages depend on many. This one decides which file of a
  // package is taken.
  const { DENO_CONDITIONS: _, ...bundleEnv } = env;
  await run(
    Deno.execPath(),
    // Writes several files, so that a check need not load what only other commands need.
    ["bundle", "--minify", "--platform=deno", "--code-splitting", `--outdir=${folder}`, entry],
    { cwd: root, env: { ...bundleEnv, NO_COLOR: "1" } },
  );
}

async function compile(
  scratch: string,
  { target, env, v8Flags }: Required<Pick<BuildOptions, "target" | "env" | "v8Flags">>,
): Promise<void> {
  const kept = Object.entries(env).filter(([name]) => compileVariables.includes(name));
  // No JIT: so that the service can run under systemd's MemoryDenyWriteExecute. A small nursery: it
  // would grow with the number of heartbeats, for nothing (bench/memory.ts). A small heap: garbage
  // of large documents would stay until the unit's MemoryMax ends the agent. Collecting starts
  // at a quarter of the growth that V8 allows, which is 8 MiB at least.
  // No optimizer of bytecode, and the lines of functions at once, not by a second compilation when
  // an error is thrown: a check runs most functions once, and compiling them is most of its work.
  const v8 = [
    ...["--jitless", "--max-semi-space-size=1", "--max-old-space-size=256"],
    ...["--incremental-marking-soft-trigger=25"],
    ...["--no-ignition-reo", "--no-enable-lazy-source-positions", ...v8Flags],
  ];
  await run(
    Deno.execPath(),
    [
      "compile",
      "--config=deno.json",
      "--no-lock",
      "--permission-set=agent",
      "--no-prompt",
      // It would be kept in /tmp under a name that anyone can take first.
      "--no-code-cache",
      `--v8-flags=${v8.join()}`,
      "--app-name=decnet-agent",
      `--target=${target}`,
      "--output=decnet-agent",
      script,
    ],
    {
      cwd: scratch,
      env: { ...Object.fromEntries(kept), NO_COLOR: "1", DENORT_BIN: join(scratch, "denort") },
    },
  );
}

/**
 * Returns what `--version` says of the source: the commit, and its day in UTC; `unknown` outside of a
 * checkout. A commit with changes that are not in it is marked.
 */
export async function describeSource(root: string, time: number): Promise<string> {
  const git = ["--no-optional-locks", "--git-dir", join(root, ".git"), "--work-tree", root];
  try {
    const commit = await run("git", [...git, "rev-parse", "HEAD"]);
    const changes = await run("git", [...git, "status", "--porcelain", "--untracked-files=no"]);
    const day = new Date(time * 1000).toISOString().slice(0, 10);
    return `${commit.slice(0, 12)}${changes === "" ? "" : "+changes"} ${day}`;
  } catch {
    return "unknown";
  }
}

/**
 * Returns the time of the work tree in seconds since 1970, which becomes the modification time of
 * the bundle: `SOURCE_DATE_EPOCH`, or else the time of the last commit, or else 0.
 */
export async function sourceTime(root: string, env: Environment): Promise<number> {
  const given = env.SOURCE_DATE_EPOCH;
  if (given !== undefined) {
    if (/^\d{1,10}$/.test(given)) return Number(given);
    throw new Error(`Cannot use SOURCE_DATE_EPOCH: it is ${given}, expected whole seconds`);
  }
  const log = ["--git-dir", join(root, ".git"), "log", "-1", "--format=%ct"];
  // 0 in an unpacked archive, or without git: still the same each time.
  return Number(await run("git", log).catch(() => 0));
}
