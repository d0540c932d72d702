import { sanitizeLine } from "../host/log.ts";
import { completion } from "../packaging/completion.ts";
import { config } from "../packaging/config.ts";
import { man } from "../packaging/man.ts";
import { cron, folderHiddenByUnit, systemdService, systemdTimer } from "../packaging/units.ts";
import type { Command } from "./args.ts";
import { tables } from "./help.ts";
import type { ExitCode } from "./report.ts";
import type { Terminal } from "./terminal.ts";

type PrintCommand = Omit<Extract<Command, { name: "print" }>, "name">;

/** `print`: a file for this host, made for the executable that runs. Throws what the files throw. */
export function print(command: PrintCommand, terminal: Terminal): ExitCode {
  const isOfPath = command.what.startsWith("systemd-") || command.what === "cron";
  const executable = isOfPath ? terminal.executable() : "";
  terminal.stdout(textOf(command, executable));
  const folder = folderHiddenByUnit(executable);
  if (command.what.startsWith("systemd-") && folder !== null) {
    terminal.stderr(
      `decnet-agent: a service cannot see ${sanitizeLine(executable)}: the unit hides ${folder} ` +
        "from it; put the executable elsewhere, such as /usr/local/bin, and print again\n",
    );
    return 1;
  }
  return 0;
}

/** The text of a printable, for an executable of this path. Throws `Error` as `systemdService`. */
export function textOf({ what, shell }: PrintCommand, executable: string): string {
  switch (what) {
    case "systemd-service":
      return systemdService(executable);
    case "systemd-timer":
      return systemdTimer(executable);
    case "cron":
      return cron(executable);
    case "config":
      return config(tables.keys);
    case "man":
      return man(tables);
    case "completion":
      return completion(shell!, tables);
  }
}
