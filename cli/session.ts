import { Agent, type Beat, Bell, runLoop } from "../agent/mod.ts";
import { HostWatch } from "../agent/watch.ts";
import { Applier } from "../apply/mod.ts";
import { ApiServer, TopologyService } from "../api/mod.ts";
import type { Log, Supervisor } from "../host/mod.ts";
import { type CertificateFolder, hostAndPort } from "../master/mod.ts";
import type { StoreMemory } from "../store/mod.ts";
import type { Configuration, ListenOptions } from "./configuration.ts";
import { worst } from "./exit.ts";
import { findingsOf } from "./findings.ts";
import type { MetricsFile } from "./metrics_file.ts";
import { summary } from "./once_text.ts";
import { agentVersion } from "./version.ts";

const noDescriptors = "no file descriptors are left (ulimit -n); the API starts anew";

/** What outlives a change of the configuration. */
export interface SessionOptions {
  readonly certificates: CertificateFolder;
  readonly memory: StoreMemory;
  readonly log: Log;
  readonly supervisor: Supervisor;
  /** Null when none are wanted. */
  readonly metrics: MetricsFile | null;
  /** Takes each beat. */
  readonly onBeat: (beat: Beat) => void;
  /** Ends it; an apply under way is interrupted. */
  readonly signal: AbortSignal;
}

/** The loop with one configuration: the beats and, where it is set, the API. */
export class Session {
  readonly #configuration: Configuration;
  readonly #options: SessionOptions;
  readonly #agent: Agent;
  readonly #bell = new Bell();
  readonly #service: TopologyService;
  readonly #watch: HostWatch;

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
      bell: this.#bell,
    });
    this.#watch = new HostWatch({ ...shared, onChange: () => this.#bell.hint() });
  }

  /** The first beat may be a whole interval away; a first look shows that the agent works. */
  async look(): Promise<void> {
    await this.#agent.state(this.#options.signal);
  }

  /** Has the first beat go out at once. */
  hurry(): void {
    this.#bell.ring();
  }

  /** Resolves when no apply and no teardown is under way. */
  settled(): Promise<void> {
    return this.#service.settled();
  }

  /** Runs until the signal is aborted. */
  async run(): Promise<void> {
    const { intervalMs, listen, warnings } = this.#configuration;
    const { log, supervisor, metrics, onBeat, signal } = this.#options;
    if (metrics) metrics.isListening = listen && false;
    const show = (beat: Beat) => {
      this.#watch.note(beat.stock);
      const findings = findingsOf(beat, warnings);
      supervisor.status(summary(beat, findings));
      return worst(findings);
    };
    await Promise.all([
      this.#watch.run(signal),
      runLoop(this.#agent, signal, {
        intervalMs,
        log,
        bell: this.#bell,
        isBusy: () => this.#service.isBusy,
        onWork: (phase) => phase === "begin" ? supervisor.beginWork() : supervisor.endWork(),
        onBeat: (beat) => {
          onBeat(beat);
          // The status is told with or without a metrics file.
          const code = show(beat);
          metrics?.note(beat, code);
        },
        onGlance: (beat) => {
          const code = show(beat);
          metrics?.write(beat, code);
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
        await Promise.race([stopped, server.deaf]);
        tell(false);
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
}
