import { look } from "./files.ts";
import type { Unit } from "./unit.ts";

/** What a unit starts, and why that cannot be. */
export interface ProgramProblem {
  readonly text: string;
  /** The file of the unit, or its drop-in, that names the program. */
  readonly file: string;
}

/** Whether the program of a unit is there; null when it is, or cannot be told. */
export async function findProgramProblem(
  unit: Unit,
  root: string,
): Promise<ProgramProblem | null> {
  const setting = unit.last("ExecStart");
  if (setting === null) return null;
  const path = programOf(setting.value);
  if (path === null) return null;
  const sight = await look(`${root}${path}`);
  if (sight === "forbidden") return null;
  const isProgram = typeof sight === "object" && sight.isFile && ((sight.mode ?? 0) & 0o111) !== 0;
  if (isProgram) return null;
  const why = sight === "absent" ? "does not exist" : "is no program";
  return { text: `${setting.file} has the service run ${path}, which ${why}`, file: setting.file };
}

/** The path of the program in a command line; null where systemd has to search or to fill in. */
export function programOf(command: string): string | null {
  const [, quoted, plain] = /^[@:+!|-]*(?:"([^"]*)"|(\S+))/.exec(command) ?? [];
  const path = quoted ?? plain ?? "";
  if (!path.startsWith("/") || /%[^%]/.test(path.replaceAll("%%", ""))) return null;
  return path.replaceAll("%%", "%");
}
