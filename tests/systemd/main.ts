// deno-lint-ignore-file no-console
/**
 * Checks what the printed units promise: boots a real systemd in a container, and installs the
 * executable there as an operator would. `deno task systemd [WORDS]`, as root; needs Docker, debootstrap
 * and systemd-nspawn. WORDS, of their names, select checks. With `prepare` it only makes the root
 * folders that are booted.
 *
 * @module
 */

import { runTool } from "../../tools/build.ts";
import { dockerSocket } from "../engines/engines.ts";
import { confinementChecks } from "./confinement_checks.ts";
import { doctorChecks, faultChecks } from "./doctor_checks.ts";
import { firstCheck, installChecks, podmanChecks, removalChecks } from "./install_checks.ts";
import { findRootFolder, Machine, type Release } from "./machine.ts";
import { runbookChecks } from "./runbook_checks.ts";
import { lackChecks, watchChecks, workChecks } from "./service_checks.ts";
import { carried, type Check, openSite, type Site } from "./site.ts";
import { cronChecks, timerChecks } from "./timer_checks.ts";

/** Two of these machines would stand in each other's control groups. */
const lockPath = "/run/lock/decnet-agent-systemd-check";

/** The working service first: the confinement is looked at while it runs. */
const serviceChecks: readonly Check[] = [
  firstCheck,
  ...workChecks,
  ...timerChecks,
  ...confinementChecks,
  ...lackChecks,
  ...watchChecks,
  ...doctorChecks,
  ...faultChecks,
  ...cronChecks,
  ...installChecks,
  ...removalChecks,
];

/** What is booted, what it sees of this host, and what is checked there. */
interface Run {
  readonly release: Release;
  readonly options: readonly string[];
  readonly checks: readonly Check[];
}

const binary = new URL("../../dist/decnet-agent", import.meta.url).pathname;
const docker = `--bind=${await Deno.realPath(dockerSocket)}:/run/docker.sock`;

const runs: readonly Run[] = [
  { release: "bookworm", options: [docker], checks: serviceChecks },
  // Podman does not work in the overlay that the machine is in.
  { release: "trixie", options: ["--tmpfs=/var/lib/containers"], checks: podmanChecks },
  { release: "trixie", options: [docker], checks: runbookChecks },
];

/** Answers how many checks have failed. */
async function main(
  [mode = ""]: readonly string[],
  env: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<number> {
  if (Deno.uid() !== 0) throw new Error("Cannot boot systemd: only root can");
  const startedAt = performance.now();
  await using stack = new AsyncDisposableStack();
  stack.use(await lock(signal));
  let [passed, failed] = [0, 0];
  for (const { release, options, checks } of runs) {
    const isSelected = ({ name }: Check) => mode === "prepare" || name.includes(mode);
    if (!checks.some(isSelected)) continue;
    const root = await findRootFolder(release, env, { signal, log: console.log });
    if (mode === "prepare") continue;
    await using parts = new AsyncDisposableStack();
    const binds = [...options, `--bind-ro=${binary}:${carried}`];
    const machine = parts.use(await Machine.boot({ root, binds, signal }));
    const site = await openSite(machine, dockerSocket, parts);
    // As the package of Docker does.
    const addGroup = 'groupadd --non-unique --gid="$(stat -c %g /run/docker.sock)" docker';
    if (options.includes(docker)) await machine.shell(addGroup);
    // The others need what the first installs.
    for (const check of checks.filter((it, index) => index === 0 || isSelected(it))) {
      await holds(check, site, signal) ? passed++ : failed++;
    }
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  console.log(`${passed} passed, ${failed} failed, in ${seconds} s`);
  return failed;
}

/** Runs a check; prints and returns whether it holds. Throws when `signal` is aborted. */
async function holds({ name, run }: Check, site: Site, signal: AbortSignal): Promise<boolean> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    console.log(`ok    ${name}: ${await Promise.race([run(site), aborted])}`);
    return true;
  } catch (error) {
    signal.throwIfAborted();
    console.log(`FAIL  ${name}: ${error instanceof Error ? error.message : error}`);
    return false;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Waits for others who do the same on this host. */
async function lock(signal: AbortSignal): Promise<Disposable> {
  const file = await Deno.open(lockPath, { read: true, write: true, create: true });
  for (let isFirst = true; !file.tryLockSync(true); isFirst = false) {
    if (isFirst) console.log("Waits for another such check on this host");
    await new Promise((resolve) => setTimeout(resolve, 500));
    signal.throwIfAborted();
  }
  return file;
}

if (import.meta.main) {
  const ending = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(name, () => ending.abort(new Error(`interrupted by ${name}`)));
  }
  await runTool(async (args, env) => Deno.exit(await main(args, env, ending.signal) === 0 ? 0 : 1));
}
