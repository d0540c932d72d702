import type { Ended, ExecuteOptions } from "./execute.ts";
import type { Machine } from "./machine.ts";

/** The user that the unit names. */
export const user = "decnet-agent";

/** Adds it as the unit tells to, to a group `docker` with the number that the socket has. */
export async function addUser(machine: Machine, group: number): Promise<void> {
  await machine.run(["groupadd", "--non-unique", `--gid=${group}`, "docker"]);
  const home = ["--home-dir=/nonexistent", "--no-create-home", "--shell=/usr/sbin/nologin"];
  await machine.run(["useradd", "--system", "--user-group", "--groups=docker", ...home, user]);
}

/** Runs a program inside as this user. Throws `Error`, with what it said, when it fails. */
export async function asUser(
  machine: Machine,
  command: readonly string[],
  options: Pick<ExecuteOptions, "accept"> = {},
): Promise<Ended> {
  const switches = [`--reuid=${user}`, `--regid=${user}`, "--init-groups", "--reset-env"];
  return await machine.run(["setpriv", ...switches, ...command], options);
}
