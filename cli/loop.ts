import type { Beat } from "../agent/mod.ts";
import { createLog, FileLock, LockHeld, type Log, Supervisor } from "../host/mod.ts";
import { CertificateFolder, hostAndPort } from "../master/mod.ts";
import { explain, StoreMemory } from "../store/mod.ts";
import type { Configuration } from "./configuration.ts";
import type { ExitCode } from "./exit.ts";
import type { MetricsFile } from "./metrics_file.ts";
import { escapeControls } from "./print_json.ts";
import { Session } from "./session.ts";
import type { Terminal } from "./terminal.ts";
import { agentVersion } from "./version.ts";

/** A configuration, and the folder of its certificates. */
interface Setup {
  readonly configuration: Configuration;
  readonly certificates: CertificateFolder;
}

/**
 * The loop, until the process is asked to stop. When it is asked to read its files again it goes on
 * with what `reread` answers, or, when that is of no use, with what it has.
 */
export async function loop(
  configuration: Configuration,
  reread: () => Configuration,
  terminal: Terminal,
): Promise<ExitCode> {
  const startedAt = Date.now();
  const stop = terminal.stopSignal();
  const log = createLog(terminal.stderr);
  log("info", "started", { version: agentVersion, ...described(configuration) });
  const requests = new Requests(terminal);
  const lock = await lockState(configuration.agent.storePath, stop, log);
  const supervisor = new Supervisor({
    socket: terminal.variable("NOTIFY_SOCKET"),
    watchdogUsec: terminal.variable("WATCHDOG_USEC"),
    onError: (error) => log("warn", `Cannot tell the supervisor: ${(error as Error).message}`),
  });
  stop.addEventListener("abort", () => supervisor.stopping(), { once: true });
  const memory = new StoreMemory();
  const print = printChanges(terminal);
  const certificates = new CertificateFolder(configuration.agent.agentDirectory);
  let setup: Setup = { configuration, certificates };
  let metrics: MetricsFile | null = null;
  for (let isFirst = true; !stop.aborted; isFirst = false) {
    const over = new AbortController();
    const { master } = setup.configuration.agent;
    const { textfile } = setup.configuration;
    if (textfile !== null && !metrics) {
      // What a loop without it does not need is not loaded for one.
      const { MetricsFile } = await import("./metrics_file.ts");
      metrics = await MetricsFile.create({ log, startedAt });
    }
    metrics?.moveTo(textfile);
    const session = new Session(setup.configuration, {
      metrics,
      certificates: setup.certificates,
      memory,
      log,
      supervisor,
      onBeat: master ? () => {} : print,
      signal: AbortSignal.any([stop, over.signal]),
    });
    await session.look();
    if (isFirst) {
      const seconds = setup.configuration.intervalMs / 1000;
      supervisor.status(`started; the first beat is due within ${seconds} s`);
    } else {
      log("info", "the configuration was read again", described(setup.configuration));
      session.hurry();
    }
    supervisor.ready();
    const running = session.run();
    const next = nextSetup(setup, { requests, reread, log, supervisor });
    const fresh = await Promise.race([running.then(() => null), next]);
    if (!fresh) break;
    // What the master has been promised is done first.
    await session.settled();
    over.abort(new Error("the configuration was read again"));
    await running;
    setup = fresh;
  }
  lock?.release();
  log("info", "stopped");
  await supervisor.close();
  return 0;
}

/** The requests to read the files again; those that come while one is answered are one. */
class Requests {
  #next = Promise.withResolvers<void>();

  constructor(terminal: Terminal) {
    terminal.onReload(() => this.#next.resolve());
  }

  /** Resolves at the next one. */
  async take(): Promise<void> {
    await this.#next.promise;
    this.#next = Promise.withResolvers<void>();
  }
}

/** Waits until it was asked for another setup, and there is one that can be used. */
async function nextSetup(
  current: Setup,
  { requests, reread, log, supervisor }: {
    requests: Requests;
    reread: () => Configuration;
    log: Log;
    supervisor: Supervisor;
  },
): Promise<Setup> {
  for (;;) {
    await requests.take();
    supervisor.reloading();
    try {
      const configuration = reread();
      for (const warning of configuration.warnings) log("warn", warning);
      return await replace(current, configuration);
    } catch (error) {
      const { message } = error as Error;
      log("error", `the configuration stays as it was: ${message}`, { subject: "configuration" });
      supervisor.ready();
    }
  }
}

/** Throws `Error` for a configuration that cannot take the place of the current one. */
async function replace(current: Setup, configuration: Configuration): Promise<Setup> {
  const [was, is] = [current.configuration.agent, configuration.agent];
  if (is.storePath !== was.storePath) {
    throw new Error("another state-dir needs a restart of the agent");
  }
  // The old ones stay in use for as long as newer ones in the same folder are of no use.
  if (is.agentDirectory === was.agentDirectory) return { ...current, configuration };
  const certificates = new CertificateFolder(is.agentDirectory);
  if (is.master || configuration.listen) await certificates.load();
  return { configuration, certificates };
}

function described({ agent, intervalMs, listen }: Configuration): Record<string, string> {
  const { master, hostUuid, storePath, sockets } = agent;
  return {
    master: master ? hostAndPort(master) : "none",
    ...(hostUuid === null ? {} : { host: hostUuid }),
    interval: `${intervalMs / 1000}s`,
    store: storePath,
    docker: sockets.join(","),
    listen: listen ? hostAndPort(listen) : "off",
  };
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
    if (error instanceof LockHeld) {
      const holder = error.message;
      throw new Error(`another agent runs with this state-dir, ${holder}; stop that one first`);
    }
    log("warn", `Cannot lock ${path}: ${explain(error)}; a second agent would not be noticed`);
    return null;
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
