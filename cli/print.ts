import completion from "../packaging/decnet-agent.bash" with { type: "text" };
import man from "../packaging/decnet-agent.1" with { type: "text" };
import checkService from "../packaging/decnet-agent-check.service" with { type: "text" };
import checkTimer from "../packaging/decnet-agent-check.timer" with { type: "text" };
import cron from "../packaging/decnet-agent.cron" with { type: "text" };
import config from "../packaging/decnet.ini" with { type: "text" };
import service from "../packaging/decnet-agent.service" with { type: "text" };
import install from "../packaging/install.sh" with { type: "text" };
import uninstall from "../packaging/uninstall.sh" with { type: "text" };
import type { PrintableFile } from "./args.ts";
import type { Terminal } from "./terminal.ts";

/** Each file as text; a script gets the path of the executable. Throws as `executable`. */
export const texts: Record<PrintableFile, (executable: () => string) => string> = {
  "systemd-service": () => service,
  "systemd-check-service": () => checkService,
  "systemd-check-timer": () => checkTimer,
  "cron": () => cron,
  "config": () => config,
  "man": () => man,
  "completion": () => completion,
  "install": (executable) => withProgram(install, executable()),
  "uninstall": (executable) => withProgram(uninstall, executable()),
};

/** Runs `print`. Throws `Error` where a script needs the executable, and there is none. */
export function print(what: PrintableFile, terminal: Terminal): void {
  terminal.stdout(texts[what](terminal.executable));
}

/** Sets the path of the executable in a script. */
function withProgram(script: string, path: string): string {
  const word = `'${path.replaceAll("'", "'\\''")}'`;
  return script.replace(/^program=.*$/m, () => `program=${word}`);
}
