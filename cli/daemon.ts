import { Agent, type Heartbeat } from "../agent/heartbeat.ts";
import { runLoop } from "../agent/loop.ts";
import { Wakeup } from "../agent/schedule.ts";
import { HostWatcher } from "../agent/watcher.ts";
import { ApiServer } from "../api/server.ts";
import { TopologyService } from "../api/topology_service.ts";
import { Applier } from "../apply/applier.ts";
import { describeOwner, FileLock, LockHeld } from "../host/lock.ts";
import { createLog, type Log } from "../host/log.ts";
import { SystemdNotifier } from "../host/systemd.ts";
import { CertificateFolder } from "../master/certificates.ts";
import { hostAndPort } from "../master/connection.ts";
import { explain } from "../store/file.ts";
import { FallbackStore } from "../store/recovery.ts";
import type { Configuration, ListenOptions } from "./config.ts";
import type { MetricsFile } from "./metrics.ts";
import { agentVersion } from "./options.ts";
import { type ExitCode, findingsOf, summary, worst } from "./report.ts";
import { escapeControls, type Terminal } from "./terminal.ts";

const noDescriptors = "no file descriptors are left (ulimit -n); the API starts anew";

/** What outlives a change of the configuration. */
export interface SessionOptions {
  readonly certificates: CertificateFolder;
  readonly memory: FallbackStore;
  readonly log: Log;
  readonly systemd: SystemdNotifier;
  /** Null when none are wanted. */
  readonly metrics: MetricsFile | null;
  /** Takes each beat. */
  readonly onHeartbeat: (heartbeat: Heartbeat) => void;
  /** Ends it; an apply under way is interrupted. */
  readonly signal: AbortSignal;
}

/** The loop with one configuration: the beats and, where it is set, the API. */
export class Session {
  readonly #configuration: Configuration;
  readonly #options: SessionOptions;
  readonly #agent: Agent;
  readonly #wakeup = new Wakeup();
  readonly #service: TopologyService;
  readonly #watch: HostWatcher;

  constructor(configuration: Configuration, options: SessionOptions) {
    const { agent: agentOptions, supersede } = configuration;
    const shared = { ...agentOptions, ...options };
    this.#configuration = configuration;
    this.#options = options;
    this.#agent = new Agent({ ...shared, agentVersion });
    const applier = new Applier({ ...shared, supersede });
    this.#service = new TopologyService({
      ...shared,
      agent: this.#agent,
      applier,
      wakeup: this.#wakeup,
    });
    this.#watch = new HostWatcher({ ...shared, onChange: () => this.#wakeup.requestCheck() });
  }

  /** The first beat may be a whole interval away; a first look shows that the agent works. */
  async look(): Promise<void> {
    await this.#agent.state(this.#options.signal);
  }

  /** Has the first beat go out at once. */
  sendNow(): void {
    this.#wakeup.requestSend();
  }

  /** Resolves when no apply and no teardown is under way. */
  settled(): Promise<void> {
    return this.#service.settled();
  }

  /** Runs until the signal is aborted. */
  async run(): Promise<void> {
    const { intervalMs, listen, warnings } = this.#configuration;
    const { log, systemd, metrics, onHeartbeat, signal } = this.#options;
    if (metrics) metrics.isListening = listen && false;
    await Promise.all([
      this.#watch.run(signal),
      runLoop(this.#agent, signal, {
        intervalMs,
        log,
        wakeup: this.#wakeup,
        isBusy: () => this.#service.isBusy,
        onWork: (phase) => phase === "begin" ? systemd.beginWork() : systemd.endWork(),
        onHeartbeat: (heartbeat) => {
          onHeartbeat(heartbeat);
          this.#watch.note(heartbeat.snapshot);
          metrics?.count(heartbeat);
        },
        onReport: (heartbeat) => {
          const findings = findingsOf(heartbeat, warnings);
          systemd.status(summary(heartbeat, findings));
          metrics?.write(heartbeat, worst(findings));
        },
      }),
      listen && this.#serve(listen),
    ]);
    this.#agent.close();
  }

  /** Serves the API. What keeps it from listening ends nothing else. */
  async #serve(listen: ListenOptions): Promise<void> {
    const { intervalMs } = this.#configuration;
    const { log, certificates, metrics, signal } = this.#options;
    const tell = (isListening: boolean) => {
      if (metrics) metrics.isListening = isListening;
    };
    const service = this.#service;
    const { promise: stopped, resolve } = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => resolve(), { once: true });
    for (let problem = ""; !signal.aborted;) {
      try {
        const server = await ApiServer.start(service, {
          ...listen,
          log,
          certificates: () => certificates.load(),
        });
        log("info", "listening", { address: hostAndPort(listen) });
        tell(true);
        problem = "";
        await Promise.race([stopped, server.needsRestart]);
        tell(false);
        if (!signal.aborted) log("warn", noDescriptors, { subject: "api" });
        await server.stop();
        if (signal.aborted) await service.settled();
      } catch (error) {
        const { message } = error as Error;
        if (message !== problem) log("error", message, { subject: "api" });
        problem = message;
        await new Wakeup().wait(intervalMs, signal);
      }
    }
  }
}

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
  reload: () => Configuration,
  terminal: Terminal,
): Promise<ExitCode> {
  const startedAt = Date.now();
  const stop = terminal.stopSignal();
  const log = createLog(terminal.stderr);
  log("info", "started", { version: agentVersion, ...described(configuration) });
  const requests = new Requests(terminal);
  const lock = await lockState(configuration.agent.storePath, stop, log);
  const systemd = new SystemdNotifier({
    socket: terminal.variable("NOTIFY_SOCKET"),
    watchdogUsec: terminal.variable("WATCHDOG_USEC"),
    onError: (error) => log("warn", `Cannot tell the supervisor: ${(error as Error).message}`),
  });
  stop.addEventListener("abort", () => systemd.stopping(), { once: true });
  const memory = new FallbackStore(configuration.agent.storePath);
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
      const { MetricsFile } = await import("./metrics.ts");
      metrics = await MetricsFile.create({ log, startedAt });
    }
    metrics?.moveTo(textfile);
    const session = new Session(setup.configuration, {
      metrics,
      certificates: setup.certificates,
      memory,
      log,
      systemd,
      onHeartbeat: master ? () => {} : print,
      signal: AbortSignal.any([stop, over.signal]),
    });
    await session.look();
    if (isFirst) {
      const seconds = setup.configuration.intervalMs / 1000;
      systemd.status(`started; the first beat is due within ${seconds} s`);
    } else {
      log("info", "the configuration was read again", described(setup.configuration));
      session.sendNow();
    }
    systemd.ready();
    const running = session.run();
    const next = nextSetup(setup, { requests, reload, log, systemd });
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
  await systemd.close();
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
  { requests, reload, log, systemd }: {
    requests: Requests;
    reload: () => Configuration;
    log: Log;
    systemd: SystemdNotifier;
  },
): Promise<Setup> {
  for (;;) {
    await requests.take();
    systemd.reloading();
    try {
      const configuration = reload();
      for (const warning of configuration.warnings) log("warn", warning);
      return await replace(current, configuration);
    } catch (error) {
      const { message } = error as Error;
      log("error", `the configuration stays as it was: ${message}`, { subject: "configuration" });
      systemd.ready();
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
      const owner = describeOwner(error.owner);
      throw new Error(
        `another agent runs with this state-dir, held by ${owner}; stop that one first`,
      );
    }
    log("warn", `Cannot lock ${path}: ${explain(error)}; a second agent would not be noticed`);
    return null;
  }
}

/** Without a master the beats are printed, each that differs from the one before, a line each. */
function printChanges(terminal: Terminal): (heartbeat: Heartbeat) => void {
  let printed = "";
  return ({ body }) => {
    const line = `${escapeControls(JSON.stringify(body))}\n`;
    if (line !== printed) terminal.stdout(line);
    printed = line;
  };
}
