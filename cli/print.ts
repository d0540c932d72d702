import { systemPaths } from "../host/files.ts";
import { bashCompletion } from "../packaging/completion.ts";
import { config } from "../packaging/config.ts";
import man from "../packaging/decnet-agent.1" with { type: "text" };
import checkService from "../packaging/decnet-agent-check.service" with { type: "text" };
import checkTimer from "../packaging/decnet-agent-check.timer" with { type: "text" };
import cron from "../packaging/decnet-agent.cron" with { type: "text" };
import service from "../packaging/decnet-agent.service" with { type: "text" };
import install from "../packaging/install.sh" with { type: "text" };
import uninstall from "../packaging/uninstall.sh" with { type: "text" };
import { type PrintableFile, printables } from "./args.ts";
import { commands, flags, keys } from "./help.ts";
import type { Terminal } from "./terminal.ts";

/** Runs `print`. Throws `Error` where a script needs the executable, and there is none. */
export function print(what: PrintableFile, terminal: Terminal): void {
  terminal.stdout(textOf(what, () => terminal.executable()));
}

/** Returns a file to install; a script gets the path of the executable. Throws as `executable`. */
export function textOf(what: PrintableFile, executable: () => string): string {
  switch (what) {
    case "systemd-service":
      return service;
    case "systemd-check-service":
      return checkService;
    case "systemd-check-timer":
      return checkTimer;
    case "cron":
      return cron;
    case "config":
      return config(keys, systemPaths.config);
    case "man":
      return man;
    case "completion":
      return bashCompletion({ commands, flags, keys, printables });
    case "install":
      return withProgram(install, executable());
    case "uninstall":
      return withProgram(uninstall, executable());
  }
}

/** Sets the path of the executable in a script. */
function withProgram(script: string, path: string): string {
  const word = `'${path.replaceAll("'", "'\\''")}'`;
  return script.replace(/^program=.*$/m, () => `program=${word}`);
}
