// deno-lint-ignore-file no-console
/**
 * Runs all tests, in processes side by side, as most of them wait for something. The output of the
 * first appears at once, that of the others behind it. `deno run -q -A tools/tests.ts [FLAG...]`; flags
 * are those of `deno test`. Exits 1 when one fails. Within a process tests take turns: a lock that is
 * held by one would be inherited by what another starts.
 *
 * @module
 */

const executable = "tests/e2e";
const slowest = ["tests/e2e/loop_test.ts", "tests/e2e/resources_test.ts"];
const modules = ["agent", "cli", "doctor", "host", "logs", "store"];
const otherModules = ["api", "apply", "docker", "examples", "master", "tests/integration"];

/** All tests with a real engine are in the first part, so that they take turns. */
const parts = [
  ["all else, and real engines", `--ignore=${[executable, ...modules, ...otherModules].join()}`],
  ["half of the modules", ...modules],
  ["the other half", ...otherModules],
  ["the executable", `--ignore=${slowest.join()}`, executable],
  ["the executable that wait longest", ...slowest],
] as const;

const running = parts.map(([name, ...args], index) => {
  const stdout = index === 0 ? "inherit" : "piped";
  const flags = ["-A", "--sanitize-ops", "--sanitize-resources", ...Deno.args, ...args];
  const process = new Deno.Command(Deno.execPath(), { args: ["test", ...flags], stdout }).spawn();
  return { name, process, printed: index === 0 ? null : process.stdout.bytes() };
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => {
    for (const { process } of running) {
      try {
        process.kill(signal);
      } catch {
        // It has ended already.
      }
    }
  });
}

let isWell = true;
for (const { name, process, printed } of running) {
  const bytes = await printed;
  if (bytes) {
    console.log(`\nBeside them ran the tests of ${name}:`);
    await new Response(bytes).body!.pipeTo(Deno.stdout.writable, { preventClose: true });
  }
  if (!(await process.status).success) isWell = false;
}
Deno.exit(isWell ? 0 : 1);
