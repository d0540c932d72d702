import { eventually } from "../../tests/real/waiting.ts";
import type { Machine } from "./machine.ts";

/** The agent as the machine's systemd runs it, by its unit of the loop if not told otherwise. */
export class Service {
  constructor(readonly machine: Machine, readonly unit = "decnet-agent.service") {}

  /** Ends when systemd takes it for started. Throws `Error` when it fails. */
  async start(): Promise<void> {
    await this.machine.run(["systemctl", "start", this.unit]);
  }

  async stop(): Promise<void> {
    await this.machine.run(["systemctl", "stop", this.unit]);
  }

  /** A property of the unit, as `systemctl show` tells it. */
  async property(name: string): Promise<string> {
    const show = ["systemctl", "show", "--value", "-p", name, this.unit] as const;
    const { stdout } = await this.machine.run(show);
    return stdout.trim();
  }

  /** The lines of `systemctl status`. */
  async status(): Promise<string> {
    const accept = () => true; // 3 says that it does not run.
    const show = ["systemctl", "status", "--no-pager", this.unit] as const;
    return (await this.machine.run(show, { accept })).stdout;
  }

  /** All that it has logged, and what systemd has about it. */
  async journal(): Promise<string> {
    await this.machine.run(["journalctl", "--sync"]);
    return (await this.machine.run(["journalctl", "--no-pager", "-o", "cat", "-u", this.unit]))
      .stdout;
  }

  /** The path inside of a file about its process, such as `status`. Throws when it does not run. */
  async process(file: string): Promise<string> {
    const pid = await this.property("MainPID");
    if (pid === "0") throw new Error(`the service does not run\n${await this.status()}`);
    return `/proc/${pid}/${file}`;
  }

  /** The text of a file about its process. */
  async read(file: string): Promise<string> {
    return await Deno.readTextFile(this.machine.path(await this.process(file)));
  }

  /** Runs `check` on the service with these settings put in place of the unit's, then undoes them. */
  async with<T>(settings: readonly string[], check: () => Promise<T>): Promise<T> {
    const path = this.machine.path(`/run/systemd/system/${this.unit}.d/check.conf`);
    await this.stop();
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(path, ["[Service]", ...settings, ""].join("\n"));
    try {
      await this.machine.run(["systemctl", "daemon-reload"]);
      return await check();
    } finally {
      await this.stop();
      await Deno.remove(path);
      await this.machine.run(["systemctl", "daemon-reload"]);
    }
  }

  /** Waits until a property has changed to what is wanted, and returns it. */
  async until(name: string, isWanted: (value: string) => boolean): Promise<string> {
    return await eventually(`${name} of ${this.unit}`, async () => {
      const value = await this.property(name);
      return isWanted(value) ? value : undefined;
    });
  }
}
