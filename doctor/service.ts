import { namesIn } from "./files.ts";
import { readUnit, type Unit } from "./unit.ts";

/** The unit of the loop. */
export const unit = "decnet-agent.service";
const invocation = "invocation:";
const configured = "/etc/systemd/system";

/** What the files of systemd tell of the agent's service. */
export interface Service {
  /** Whether systemd runs this host. */
  readonly hasSystemd: boolean;
  readonly unit: Unit | null;
  /** Whom it runs as; null when it does not say. */
  readonly user: string | null;
  /** The groups that it has beside those of its user. */
  readonly groups: readonly string[];
  readonly isEnabled: boolean;
  readonly isActive: boolean;
  /** Other units that are active and have decnet in their names. */
  readonly others: readonly string[];
  /** A timer that runs checks, or null; that it is active is in no file. */
  readonly timer: { readonly name: string; readonly isEnabled: boolean } | null;
  /** A cron file that runs checks, or null. */
  readonly cronFile: string | null;
}

/** Reads what systemd keeps in files; `root` is put before the paths. Starts no program. */
export async function readService(root: string): Promise<Service> {
  const namesOf = (folder: string) => namesIn(`${root}${folder}`);
  const active = (await namesOf("/run/systemd/units"))
    .filter((name) => name.startsWith(invocation)).map((name) => name.slice(invocation.length));
  const found = await readUnit(root, unit);
  const timers = (await namesOf(configured)).filter((it) => /^decnet-agent.*\.timer$/.test(it));
  const ticking = await namesOf(`${configured}/timers.target.wants`);
  const timer = timers.find((it) => ticking.includes(it)) ?? timers[0];
  const crons = await namesOf("/etc/cron.d");
  return {
    hasSystemd: (await namesOf("/run/systemd")).includes("units"),
    unit: found,
    user: found?.last("User")?.value || null,
    groups: (found?.all("SupplementaryGroups") ?? []).flatMap(({ value }) => value.split(/\s+/)),
    isEnabled: (await namesOf(`${configured}/multi-user.target.wants`)).includes(unit),
    isActive: active.includes(unit),
    others: active.filter((name) => name.includes("decnet") && name !== unit),
    timer: timer === undefined ? null : { name: timer, isEnabled: ticking.includes(timer) },
    cronFile: crons.find((name) => name.startsWith("decnet-agent")) ?? null,
  };
}
