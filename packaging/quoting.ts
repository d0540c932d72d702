/**
 * A program's path as the first word of `ExecStart=`. Throws `Error` when no unit can hold it.
 *
 * systemd.syntax(7) and systemd.service(5): C escapes within quotes, `%` begins a specifier. A `$`
 * counts in the arguments only, but the path is the first of these, too; `:` before it turns that off.
 */
export function execCommand(path: string): string {
  demandPlain(path, "a unit");
  const text = path.replaceAll("%", "%%");
  const prefix = text.includes("$") ? ":" : "";
  if (isPlain(text)) return `${prefix}${text}`;
  return `${prefix}"${text.replace(/[\\"]/g, "\\$&")}"`;
}

/**
 * A path in a list, such as `ExecPaths=`. Throws `Error` when no unit can hold it.
 *
 * Here a backslash stands for itself, so a quotation mark needs one of the other kind around it.
 */
export function listedPath(path: string): string {
  demandPlain(path, "a unit");
  const text = path.replaceAll("%", "%%");
  if (isPlain(text)) return text;
  return text.split(/("+)/).filter(Boolean)
    .map((part) => part.startsWith('"') ? `'${part}'` : `"${part}"`).join("");
}

/** A path as a word of a shell's command line. Throws `Error` when it has control characters. */
export function shellWord(path: string): string {
  demandPlain(path, "a command line");
  // In double quotes, as cron below needs an even number of backslashes before what is escaped.
  return isPlain(path) ? path : `"${path.replace(/[\\"$`]/g, "\\$&")}"`;
}

/** A path as a word of a line of cron, for which `%` ends the command. Throws as `shellWord`. */
export function cronWord(path: string): string {
  return shellWord(path).replaceAll("%", "\\%");
}

/** Nothing in it means anything to a shell or to systemd but `%`. */
function isPlain(path: string): boolean {
  return /^[\w/.,:@+%=-]+$/.test(path);
}

function demandPlain(path: string, what: string): void {
  // deno-lint-ignore no-control-regex
  if (!path.startsWith("/") || /[\x00-\x1f\x7f]/.test(path)) {
    throw new Error(
      `Cannot write '${path}' into ${what}: it must be an absolute path without control characters`,
    );
  }
}
