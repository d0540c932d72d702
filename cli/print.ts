import { sanitizeLine } from "../host/log.ts";
import { systemPaths } from "../host/files.ts";
import { bashCompletion } from "../packaging/completion.ts";
import { config } from "../packaging/config.ts";
import man from "../packaging/decnet-agent.1" with { type: "text" };
import {
  checkService,
  checkTimer,
  cron,
  folderHiddenByUnit,
  installScript,
  systemdService,
  uninstallScript,
} from "../packaging/units.ts";
import { type PrintableFile, printables } from "./args.ts";
import { commands, flags, keys } from "./help.ts";
import type { ExitCode } from "./report.ts";
import type { Terminal } from "./terminal.ts";

/** Runs `print`: prints a file to install on this host. Throws `Error` as `textOf`. */
export function print(what: PrintableFile, terminal: Terminal): ExitCode {
  terminal.stdout(textOf(what, () => terminal.executable()));
  if (what !== "systemd-service" && what !== "systemd-check-service") return 0;
  const executable = terminal.executable();
  const folder = folderHiddenByUnit(executable);
  if (folder === null) return 0;
  terminal.stderr(
    `decnet-agent: the service cannot start ${sanitizeLine(executable)}: the unit hides ` +
      `${folder}. Copy the executable to /usr/local/bin, then print again\n`,
  );
  return 1;
}

/** The text of a file. Throws what `executable`, its path, throws, and `Error` as `systemdService`. */
export function textOf(what: PrintableFile, executable: () => string): string {
  switch (what) {
    case "systemd-service":
      return systemdService(executable());
    case "systemd-check-service":
      return checkService(executable());
    case "systemd-check-timer":
      return checkTimer();
    case "cron":
      return cron(executable());
    case "config":
      return config(keys, systemPaths.config);
    case "man":
      return man;
    case "completion":
      return bashCompletion({ commands, flags, keys, printables });
    case "install":
      return installScript(executable());
    case "uninstall":
      return uninstallScript(executable());
  }
}
