/**
 * A program's path as the first word of `ExecStart=`. Throws `Error` when no unit can hold it.
 *
 * systemd.service(5): `%` begins a specifier. The path itself is not searched for variables, but it
 * is the first argument, too, which is; `:` before it turns that off.
 */
export function execCommand(path: string): string {
  return `${path.includes("$") ? ":" : ""}${listedPath(path)}`;
}

/** A path in a list of a unit, such as `ExecPaths=`. Throws `Error` when no unit can hold it. */
export function listedPath(path: string): string {
  // Even quoted, systemd takes none of these in the name of a program.
  if (/["'\\]/.test(path)) throw unfit(path, "quotation marks and backslashes");
  demandPlain(path);
  const text = path.replaceAll("%", "%%");
  return isPlain(text) ? text : `"${text}"`;
}

/** A path as a word of a line of cron. Throws `Error` when it has characters that none can hold. */
export function cronWord(path: string): string {
  // Crons do not agree on what two of them are.
  if (path.includes("\\")) throw unfit(path, "backslashes");
  demandPlain(path);
  const word = isPlain(path) ? path : `"${path.replace(/["$`]/g, "\\$&")}"`;
  // A % would end the command; cron takes the backslash away.
  return word.replaceAll("%", "\\%");
}

/** Nothing in it means anything but `%`. */
function isPlain(path: string): boolean {
  return /^[\w/.,:@+%=-]+$/.test(path);
}

function demandPlain(path: string): void {
  // deno-lint-ignore no-control-regex
  if (!path.startsWith("/") || /[\x00-\x1f\x7f]/.test(path)) {
    throw unfit(path, "control characters");
  }
}

function unfit(path: string, what: string): Error {
  return new Error(
    `Cannot print for ${path}: the path of the executable must be absolute and without ${what}`,
  );
}
