/** What systemd-nspawn makes, with `--keep-unit`, inside the control group that it is started in. */
const names = ["payload", "supervisor"];

/** The control groups that a boot will leave behind: those that are not there yet. */
export async function groupsToCome(): Promise<string[]> {
  const groups = (await ownFolders()).flatMap((it) => names.map((name) => `${it}/${name}`));
  return groups.filter((group) => !exists(group));
}

/** Removes control groups, with all that are in them. */
export function removeGroups(groups: readonly string[]): void {
  for (const group of groups.filter(exists)) {
    removeGroups([...Deno.readDirSync(group)].flatMap(({ name, isDirectory }) => {
      return isDirectory ? [`${group}/${name}`] : [];
    }));
    Deno.removeSync(group);
  }
}

/** This process's own group, in each hierarchy that systemd uses. */
async function ownFolders(): Promise<string[]> {
  const [mounts, memberships] = await Promise.all([
    Deno.readTextFile("/proc/self/mountinfo"),
    Deno.readTextFile("/proc/self/cgroup"),
  ]);
  return mounts.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const isNamed = after.startsWith("cgroup ") && after.includes("name=systemd");
    if (!isNamed && !after.startsWith("cgroup2 ")) return [];
    // Such as 9:name=systemd:/path; that of the second version is 0::/path.
    const pattern = isNamed ? /^\d+:name=systemd:(.*)$/m : /^0::(.*)$/m;
    const path = pattern.exec(memberships)?.[1] ?? "/";
    return [`${before.split(" ")[4]}${path === "/" ? "" : path}`];
  });
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
