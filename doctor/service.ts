import { namesIn, readText } from "./files.ts";

/** The unit of the loop. */
export const unit = "decnet-agent.service";
const folders = ["/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system"]
  .concat("/usr/lib/systemd/system", "/lib/systemd/system");
const invocation = "invocation:";

/** What the files of systemd tell of the agent's service. */
export interface Service {
  /** Whether systemd runs this host. */
  readonly hasSystemd: boolean;
  /** The path of the unit's file, or null. */
  readonly file: string | null;
  /** Whom it runs as; null when it does not say. */
  readonly user: string | null;
  readonly isEnabled: boolean;
  readonly isActive: boolean;
  /** Other units that are active and have decnet in their names. */
  readonly others: readonly string[];
  /** A timer or a cron file that runs checks, or null. */
  readonly schedule: string | null;
}

/** Reads what systemd keeps in files; `root` is put before the paths. Starts no program. */
export async function readService(root: string): Promise<Service> {
  const active = (await namesIn(`${root}/run/systemd/units`))
    .filter((name) => name.startsWith(invocation)).map((name) => name.slice(invocation.length));
  const found = await findUnit(root);
  const wanted = await namesIn(`${root}/etc/systemd/system/multi-user.target.wants`);
  const timers = await namesIn(`${root}/etc/systemd/system`);
  const crons = await namesIn(`${root}/etc/cron.d`);
  return {
    hasSystemd: (await namesIn(`${root}/run/systemd`)).includes("units"),
    file: found?.path ?? null,
    user: found ? /^User=(\S+)\s*$/m.exec(found.text)?.[1] ?? null : null,
    isEnabled: wanted.includes(unit),
    isActive: active.includes(unit),
    others: active.filter((name) => name.includes("decnet") && name !== unit),
    schedule: timers.find((name) => /^decnet-agent.*\.timer$/.test(name)) ??
      crons.find((name) => name.startsWith("decnet-agent")) ?? null,
  };
}

async function findUnit(root: string): Promise<{ path: string; text: string } | null> {
  for (const folder of folders) {
    const path = `${root}${folder}/${unit}`;
    const text = await readText(path);
    if (text !== null) return { path, text };
  }
  return null;
}

/** Whether a unit of this name is installed. */
export async function hasUnit(root: string, name: string): Promise<boolean> {
  const all = await Promise.all(folders.map((folder) => namesIn(`${root}${folder}`)));
  return all.some((names) => names.includes(name));
}
