import { type Account, mayUse, searching, writing } from "../accounts.ts";
import { type Check, failed, ok, warning } from "../check.ts";
import { findSpaceProblem, isReadOnly, remount, showTakers } from "../file_system.ts";
import { describe, look, quote } from "../files.ts";

const lost = "what is applied is forgotten with the agent, and no apply by hand works";

/** Whether the agent can keep its state. */
export const stateDirectory: Check = {
  name: "state-dir",
  code: 3,
  async run(patient) {
    const path = patient.stateDirectory;
    const user = await patient.agentUser();
    const sight = await look(path);
    const make = `install -d -o ${user.name} -m 700 ${quote(path)}`;
    if (sight === "forbidden") {
      return failed(`${path}: user ${user.name} may not look into a folder above it`, make);
    }
    if (sight === "absent") {
      const parent = await nearest(path);
      const info = await look(parent);
      const canMake = typeof info === "object" && info.isDirectory &&
        mayUse(user, info, writing | searching);
      const text = `${path} does not exist`;
      if (await isReadOnly(parent)) {
        return failed(`${text}, and the file system of ${parent} is read-only`, remount(parent));
      }
      if (canMake) {
        return await fullness(parent, user) ??
          ok(`${text} yet: the loop and the first apply make it`);
      }
      return failed(`${text}, and user ${user.name} may not make it in ${parent}`, make);
    }
    const saw = `${path}: ${describe(sight, patient.accounts)}`;
    if (!sight.isDirectory) {
      const aside = `mv ${quote(path)} ${quote(`${path}.old`)}`;
      return failed(`${path} is no folder`, aside);
    }
    const own = `chown -R ${user.name}: ${quote(path)}`;
    if (!mayUse(user, sight, searching)) {
      return failed([saw, `user ${user.name} may not look into it`], own);
    }
    if (!mayUse(user, sight, writing)) {
      return warning([saw, `user ${user.name} may not write in it: ${lost}`], own);
    }
    const isOpen = ((sight.mode ?? 0) & 0o002) !== 0;
    const danger = isOpen ? ["every user of this host may replace what is in it"] : [];
    // Where there is a store, that check tells it.
    const hasStore = await look(patient.options.agent.storePath) !== "absent";
    if (!hasStore && await isReadOnly(path)) {
      const text = `the file system of ${path} is read-only: ${lost}`;
      return warning([text, saw, ...danger], remount(path));
    }
    const full = await fullness(path, user, saw, ...danger);
    if (full) return full;
    return isOpen ? warning([saw, ...danger], `chmod o-w ${quote(path)}`) : ok(saw);
  },
};

/** A warning where the file system of a folder has hardly any room left. */
async function fullness(folder: string, { uid }: Account, ...saw: string[]) {
  const problem = await findSpaceProblem(folder, uid === 0);
  return problem && warning([problem.text, ...saw], showTakers(folder, problem.kind));
}

/** The lowest folder above a path that exists. */
async function nearest(path: string): Promise<string> {
  let parent = path;
  do parent = parent.replace(/\/[^/]*$/, "") || "/"; while (
    parent !== "/" && await look(parent) === "absent"
  );
  return parent;
}
