import { Agent, type Beat, Bell, runLoop } from "../agent/mod.ts";
import { Applier } from "../apply/mod.ts";
import { ApiServer, TopologyService } from "../api/mod.ts";
import { createLog, FileLock, LockHeld, type Log, Supervisor } from "../host/mod.ts";
import { CertificateFolder, hostAndPort } from "../master/mod.ts";
import { StoreMemory } from "../store/mod.ts";
import type { Configuration, ListenOptions } from "./configuration.ts";
import type { ExitCode } from "./exit.ts";
import { findingsOf } from "./findings.ts";
import { summary } from "./once_text.ts";
import { escapeControls } from "./print_json.ts";
import type { Terminal } from "./terminal.ts";
import { agentVersion } from "./version.ts";

/** The loop, until the process is asked to stop. */
export async function loop(configuration: Configuration, terminal: Terminal): Promise<ExitCode> {
  const { agent: options, intervalMs, supersede, listen, warnings } = configuration;
  const signal = terminal.stopSignal();
  const log = createLog(terminal.stderr);
  const { master, storePath, sockets, hostUuid } = options;
  log("info", "started", {
    version: agentVersion,
    master: master ? hostAndPort(master) : "none",
    ...(hostUuid === null ? {} : { host: hostUuid }),
    interval: `${intervalMs / 1000}s`,
    store: storePath,
    docker: sockets.join(","),
    listen: listen ? hostAndPort(listen) : "off",
  });
  const lock = await lockState(storePath, signal, log);
  const memory = new StoreMemory();
  const agent = new Agent({ ...options, agentVersion, memory });
  const bell = new Bell();
  const print = master ? () => {} : printChanges(terminal);
  const supervisor = new Supervisor({
    socket: terminal.variable("NOTIFY_SOCKET"),
    watchdogUsec: terminal.variable("WATCHDOG_USEC"),
    onError: (error) => log("warn", `Cannot tell the supervisor: ${error}`),
  });
  const applier = new Applier({ ...options, supersede, memory });
  const service = new TopologyService({ ...options, agent, applier, bell, log, signal });
  // The first beat may be a whole interval away; a first look shows that the agent works.
  await agent.state(signal);
  supervisor.status(`started; the first beat is due within ${intervalMs / 1000} s`);
  supervisor.ready();
  signal.addEventListener("abort", () => supervisor.stopping(), { once: true });
  await Promise.all([
    runLoop(agent, signal, {
      intervalMs,
      log,
      bell,
      isBusy: () => service.isBusy,
      onWork: (phase) => phase === "begin" ? supervisor.beginWork() : supervisor.endWork(),
      onBeat: (beat) => {
        print(beat);
        supervisor.status(summary(beat, findingsOf(beat, warnings)));
      },
    }),
    listen && serve(service, { ...listen, ...options, intervalMs, log, signal }),
  ]);
  agent.close();
  lock?.release();
  log("info", "stopped");
  await supervisor.close();
  return 0;
}

/**
 * Two loops of one host would report twice, and apply twice. Throws `Error` when there is another one;
 * where there can be no lock the agent goes on without.
 */
async function lockState(
  storePath: string,
  signal: AbortSignal,
  log: Log,
): Promise<FileLock | null> {
  const path = storePath.replace(/[^/]*$/, "agent.lock");
  try {
    return await FileLock.acquire(path, { purpose: "the loop", signal });
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof LockHeld) {
      throw new Error(`another agent runs with this state-dir, ${message}`);
    }
    log("warn", `Cannot lock ${path}: ${message}; a second agent would not be noticed`);
    return null;
  }
}

const noDescriptors = "no file descriptors are left (ulimit -n); the API starts anew";

/** What the API needs besides the service. */
interface ServeOptions extends ListenOptions {
  readonly agentDirectory: string;
  readonly intervalMs: number;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Serves the API until `signal` is aborted. What keeps it from listening ends nothing else. */
async function serve(service: TopologyService, options: ServeOptions): Promise<void> {
  const { agentDirectory, intervalMs, log, signal } = options;
  const folder = new CertificateFolder(agentDirectory);
  const { promise: stopped, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve(), { once: true });
  for (let problem = ""; !signal.aborted;) {
    try {
      const server = await ApiServer.start(service, {
        ...options,
        certificates: () => folder.load(),
      });
      log("info", "listening", { address: hostAndPort(options) });
      await Promise.race([stopped, server.deaf]);
      if (!signal.aborted) log("warn", noDescriptors, { subject: "api" });
      await server.stop();
      if (signal.aborted) await service.settled();
    } catch (error) {
      const { message } = error as Error;
      if (message !== problem) log("error", message, { subject: "api" });
      problem = message;
      await new Bell().wait(intervalMs, signal);
    }
  }
}

/** Without a master the beats are printed, each that differs from the one before, a line each. */
function printChanges(terminal: Terminal): (beat: Beat) => void {
  let printed = "";
  return ({ body }) => {
    const line = `${escapeControls(JSON.stringify(body))}\n`;
    if (line !== printed) terminal.stdout(line);
    printed = line;
  };
}
