import { Agent, type Heartbeat } from "../agent/heartbeat.ts";
import { runLoop } from "../agent/loop.ts";
import { Wakeup } from "../agent/schedule.ts";
import { HostWatcher } from "../agent/watcher.ts";
import { ApiServer } from "../api/server.ts";
import { TopologyService } from "../api/topology_service.ts";
import { describeOwner, FileLock, LockHeld } from "../host/lock.ts";
import { createLog, hostAndPort, type Level, lineStart, type Log, logText } from "../host/log.ts";
import { isJournal, SystemdNotifier } from "../host/systemd.ts";
import { CertificateFolder } from "../master/certificates.ts";
import { LogForwarder } from "../logs/forwarder.ts";
import { LogSender } from "../logs/sender.ts";
import { besideStore, explain } from "../store/file.ts";
import { recordProblem } from "../store/problems.ts";
import { FallbackStore } from "../store/recovery.ts";
import type { Inventory } from "../topology/inventory.ts";
import { applierOf } from "./apply.ts";
import type { Configuration, ListenOptions } from "./config.ts";
import { logsPathOf, reportOf } from "./log_report.ts";
import { MetricsFile } from "./metrics.ts";
import { agentVersion } from "./options.ts";
import { type ExitCode, findingsOf, summary, worst } from "./report.ts";
import { escapeControls, type Terminal } from "./terminal.ts";

/** A configuration, and the folder of its certificates. */
interface Setup {
  readonly configuration: Configuration;
  readonly certificates: CertificateFolder;
}

/** Runs the agent until the process is asked to stop, with one configuration after another. */
export class Daemon {
  readonly #readConfiguration: () => Configuration;
  readonly #stop: AbortSignal;
  readonly #log: Log;
  readonly #metrics: MetricsFile;
  readonly #isJournal: boolean;
  readonly #systemd: SystemdNotifier;
  readonly #terminal: Terminal;
  #logLevel: Level = "info";
  #printed = "";
  /** Null until this process is the one that runs with the state directory. */
  #storePath: string | null = null;
  /** Resolves when a reload is requested; several requests before it is read count as one. */
  #reload = Promise.withResolvers<void>();

  /** `readConfiguration` is called at the start and for each reload, and throws `Error` for a wrong configuration. */
  constructor(readConfiguration: () => Configuration, terminal: Terminal) {
    this.#readConfiguration = readConfiguration;
    this.#stop = terminal.stopSignal();
    this.#isJournal = isJournal(terminal.variable("JOURNAL_STREAM"));
    const log = createLog(
      (line, level) => terminal.stderr(`${lineStart(level, this.#isJournal)}${line}`),
      () => this.#logLevel,
    );
    this.#log = (level, message, fields) => {
      if (this.#storePath !== null && (level === "error" || level === "warn")) {
        recordProblem(this.#storePath, level, logText(message, fields));
      }
      log(level, message, fields);
    };
    this.#metrics = new MetricsFile(this.#log);
    terminal.onReload(() => this.#reload.resolve());
    this.#terminal = terminal;
    this.#systemd = new SystemdNotifier({
      socket: terminal.variable("NOTIFY_SOCKET"),
      watchdogUsec: terminal.variable("WATCHDOG_USEC"),
      onError: (error) => this.#log("warn", `Cannot notify systemd: ${(error as Error).message}`),
    });
    this.#stop.addEventListener("abort", () => this.#systemd.notify("STOPPING"), { once: true });
  }

  /** Runs until the process is asked to stop; returns the exit code. Throws `Error` if it cannot start. */
  async run(): Promise<ExitCode> {
    try {
      await this.#run();
      return 0;
    } catch (error) {
      // The journal gets the line with its priority; elsewhere it looks as that of any other command.
      if (!this.#isJournal) throw error;
      this.#log("error", (error as Error).message);
      return 3;
    } finally {
      await this.#systemd.close();
    }
  }

  async #run(): Promise<void> {
    const configuration = this.#readConfiguration();
    const { storePath, agentDirectory } = configuration.agent;
    this.#logLevel = configuration.logLevel;
    this.#log("info", "started", { version: agentVersion, ...describe(configuration) });
    const lock = await lockState(storePath, this.#stop, this.#log);
    this.#storePath = storePath;
    // Created once: what it keeps in memory must survive a reload.
    const fallback = new FallbackStore(storePath);
    const certificates = new CertificateFolder(agentDirectory);
    let setup: Setup | null = { configuration, certificates };
    for (let isFirst = true; setup && !this.#stop.aborted; isFirst = false) {
      setup = await this.#runWith(setup, fallback, isFirst);
    }
    lock?.release();
    this.#log("info", "stopped");
  }

  /** Returns the next configuration, or null at the end. */
  async #runWith(setup: Setup, fallback: FallbackStore, isFirst: boolean): Promise<Setup | null> {
    const { configuration, certificates } = setup;
    const { master } = configuration.agent;
    for (const warning of configuration.warnings) this.#log("warn", warning);
    this.#metrics.moveTo(configuration.textfile);
    const replaced = new AbortController();
    const signal = AbortSignal.any([this.#stop, replaced.signal]);
    const run = new ConfiguredRun({
      configuration,
      certificates,
      fallback,
      metrics: this.#metrics,
      log: this.#log,
      systemd: this.#systemd,
      onHeartbeat: master ? () => {} : (heartbeat) => this.#print(heartbeat),
      signal,
    });
    // Shows that the agent works before systemd is notified: the first heartbeat comes later.
    await run.agent.state(signal);
    if (isFirst) {
      const seconds = configuration.intervalMs / 1000;
      this.#systemd.status(`started; the first heartbeat is due within ${seconds} s`);
    } else {
      this.#log("info", "the configuration was read again", describe(configuration));
      run.wakeup.requestSend();
    }
    this.#systemd.notify("READY");
    const running = run.run();
    const next = await Promise.race([running.then(() => null), this.#nextSetup(setup)]);
    if (!next) return null;
    // An apply that the master waits for is finished first.
    await run.service.settled();
    replaced.abort(new Error("the configuration was read again"));
    await running;
    return next;
  }

  /** Prints a heartbeat as a line of JSON, unless it is the same as the last one. */
  #print({ body }: Heartbeat): void {
    const line = `${escapeControls(JSON.stringify(body))}\n`;
    if (line !== this.#printed) this.#terminal.stdout(line);
    this.#printed = line;
  }

  /** Waits until a reload was requested and has succeeded. */
  async #nextSetup(current: Setup): Promise<Setup> {
    for (;;) {
      await this.#reload.promise;
      this.#reload = Promise.withResolvers();
      this.#systemd.notify("RELOADING");
      try {
        const setup = await replaceSetup(current, this.#readConfiguration());
        this.#logLevel = setup.configuration.logLevel;
        return setup;
      } catch (error) {
        const text = `the configuration stays as it was: ${(error as Error).message}`;
        this.#log("error", text, { subject: "configuration" });
        this.#systemd.notify("READY");
      }
    }
  }
}

interface RunOptions extends Setup {
  readonly fallback: FallbackStore;
  readonly metrics: MetricsFile;
  readonly log: Log;
  readonly systemd: SystemdNotifier;
  readonly onHeartbeat: (heartbeat: Heartbeat) => void;
  /** Ends the run, and interrupts a running apply. */
  readonly signal: AbortSignal;
}

/** The loop, the watcher and the API with one configuration. */
class ConfiguredRun {
  readonly #options: RunOptions;
  readonly wakeup = new Wakeup();
  readonly #logs: LogForwarder | null = null;
  /** Paths of the engine's socket; only the engine's own once it has answered, as it may restart. */
  readonly #sockets: string[];
  readonly agent: Agent;
  readonly service: TopologyService;
  readonly #watcher: HostWatcher;

  constructor(options: RunOptions) {
    this.#options = options;
    const { configuration, certificates, fallback, log, signal } = options;
    const { agent, logs: master } = configuration;
    const { networkPrefixes, containerPrefixes, storePath } = agent;
    const sockets = this.#sockets = [...agent.sockets];
    const { wakeup } = this;
    if (master) {
      const sink = new LogSender({ master, certificates, log });
      this.#logs = new LogForwarder({ path: logsPathOf(storePath), sink, log });
    }
    const applier = applierOf(configuration, { sockets, fallback });
    const onInventory = ({ containers }: Inventory) => this.#logs?.note(containers);
    this.agent = new Agent({ ...agent, sockets, certificates, fallback, onInventory, log });
    this.service = new TopologyService({ agent: this.agent, applier, wakeup, log, signal });
    this.#watcher = new HostWatcher({
      sockets,
      networkPrefixes,
      containerPrefixes,
      storePath,
      log,
      onChange: () => wakeup.requestCheck(),
    });
  }

  async run(): Promise<void> {
    const { configuration, metrics, signal } = this.#options;
    const { listen } = configuration;
    metrics.isListening = listen === null ? null : false;
    const forwarding = this.#logs?.run(signal, this.#sockets);
    const serving = listen && this.#serve(listen);
    await Promise.all([this.#watcher.run(signal), this.#loop(), forwarding, serving]);
    this.agent.close();
  }

  #loop(): Promise<void> {
    const { configuration, log, systemd, onHeartbeat, metrics, signal } = this.#options;
    return runLoop(this.agent, signal, {
      intervalMs: configuration.intervalMs,
      log,
      wakeup: this.wakeup,
      isBusy: () => this.service.isBusy,
      onWork: (phase) => systemd.work(phase),
      onHeartbeat: (heartbeat) => {
        onHeartbeat(heartbeat);
        metrics.count(heartbeat);
      },
      onSnapshot: (snapshot) => {
        const { engine, socket } = snapshot;
        if (engine && socket !== null) this.#sockets.splice(0, this.#sockets.length, socket);
        this.#watcher.note(snapshot);
      },
      onReport: (heartbeat) => {
        const status = this.#logs?.status ?? null;
        const warnings = [...configuration.warnings, ...reportOf(status, Date.now()).warnings];
        const findings = findingsOf(heartbeat, warnings);
        systemd.status(summary(heartbeat, findings));
        metrics.write(heartbeat, worst(findings), status);
      },
    });
  }

  /** Serves the API; tries again at each interval while it cannot listen. */
  async #serve(listen: ListenOptions): Promise<void> {
    const { configuration: { intervalMs }, certificates, log, metrics, signal } = this.#options;
    const { host, port, allowedNames } = listen;
    const stopped = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => stopped.resolve(), { once: true });
    let lastProblem = "";
    while (!signal.aborted) {
      try {
        const options = { host, port, allowedNames, log, certificates };
        const server = await ApiServer.start(this.service, options);
        log("info", "listening", { address: hostAndPort(listen) });
        lastProblem = "";
        metrics.isListening = true;
        await stopped.promise;
        metrics.isListening = false;
        await server.stop();
        await this.service.settled();
      } catch (error) {
        const { message } = error as Error;
        if (message !== lastProblem) log("error", message, { subject: "api" });
        lastProblem = message;
        await new Wakeup().wait(intervalMs, signal);
      }
    }
  }
}

/** Throws `Error` for a configuration that cannot take the place of the current one. */
async function replaceSetup(current: Setup, configuration: Configuration): Promise<Setup> {
  const { storePath, agentDirectory, master } = configuration.agent;
  const { agent } = current.configuration;
  if (storePath !== agent.storePath) {
    throw new Error("another state-dir needs a restart of the agent");
  }
  // Keeps the last valid certificates of a folder, in case that its new ones are not valid.
  if (agentDirectory === agent.agentDirectory) return { ...current, configuration };
  const certificates = new CertificateFolder(agentDirectory);
  if (master || configuration.listen) await certificates.load();
  return { configuration, certificates };
}

function describe({ agent, intervalMs, listen, logs }: Configuration): Record<string, string> {
  const { master, hostUuid, storePath, sockets } = agent;
  return {
    master: master ? hostAndPort(master) : "none",
    ...(hostUuid === null ? {} : { host: hostUuid }),
    interval: `${intervalMs / 1000}s`,
    store: storePath,
    docker: sockets.join(","),
    listen: listen ? hostAndPort(listen) : "off",
    ...(logs && { logs: hostAndPort(logs) }),
  };
}

/**
 * Locks the state, as two agents on one host would report twice and apply twice. Throws `Error` when
 * another one runs; returns null where the lock cannot be created.
 */
async function lockState(
  storePath: string,
  signal: AbortSignal,
  log: Log,
): Promise<FileLock | null> {
  const path = besideStore(storePath, "agent.lock");
  try {
    const purpose = `the agent of version ${agentVersion}`;
    return await FileLock.acquire(path, { purpose, signal });
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
