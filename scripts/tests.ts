// deno-lint-ignore-file no-console
/**
 * Runs all tests, in two processes side by side: those of the executable, most of which wait for one,
 * and all others. `deno run -q -A scripts/tests.ts [FLAG...]`; flags are those of `deno test`. Exits
 * 1 when one of the two fails. Within a process tests take turns: a lock that is held by one would be
 * inherited by what another starts.
 *
 * @module
 */

/** Where the tests of the executable are; none of them uses a real engine, as others do. */
const executableTests = "tests/binary";

function start(args: readonly string[], stdout: "inherit" | "piped"): Deno.ChildProcess {
  const flags = ["-A", "--sanitize-ops", "--sanitize-resources", ...Deno.args, ...args];
  return new Deno.Command(Deno.execPath(), { args: ["test", ...flags], stdout }).spawn();
}

const others = start([`--ignore=${executableTests}`], "inherit");
const ofExecutable = start([executableTests], "piped");
const later = ofExecutable.stdout.bytes();
const codes = [(await others.status).code];
console.log("Beside them ran the tests of the executable:");
await Deno.stdout.write(await later);
codes.push((await ofExecutable.status).code);
Deno.exit(codes.every((code) => code === 0) ? 0 : 1);
