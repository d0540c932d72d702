import { type Log, messageOf } from "../host/log.ts";
import { ChangeLog } from "./change_log.ts";
import type { Agent, Heartbeat } from "./heartbeat.ts";
import { HeartbeatScheduler, type SchedulerOptions, Wakeup } from "./schedule.ts";
import { wantsBackoff } from "./sender.ts";
import type { HostSnapshot } from "./snapshot.ts";

/** What the loop needs besides the agent. */
interface LoopOptions extends SchedulerOptions {
  readonly log: Log;
  /** Called with each heartbeat when its sending has ended. */
  readonly onHeartbeat?: (heartbeat: Heartbeat) => void;
  /** Called with what each check has found and the last result, and with each new result. */
  readonly onReport?: (heartbeat: Heartbeat) => void;
  /** Called with the snapshot of each heartbeat, and at each interval while the master fails. */
  readonly onSnapshot?: (snapshot: HostSnapshot) => void;
  /** Called when a check begins and when it has ended, so that a watchdog notices a hang. */
  readonly onWork?: (phase: "begin" | "end") => void;
  /** Requests heartbeats and checks. */
  readonly wakeup?: Wakeup;
  /** Returns true while the agent changes the host: a half-done change is not reported. */
  readonly isBusy?: () => boolean;
  readonly wait?: Wakeup["wait"];
}

/** Checks the host and sends heartbeats until `signal` is aborted. No error ends the loop. */
export function runLoop(agent: Agent, signal: AbortSignal, options: LoopOptions): Promise<void> {
  return new Loop(agent, options).run(signal);
}

class Loop {
  readonly #agent: Agent;
  readonly #options: LoopOptions;
  readonly #wakeup: Wakeup;
  readonly #scheduler: HeartbeatScheduler;
  readonly #changeLog: ChangeLog;
  #last: Heartbeat | null = null;

  constructor(agent: Agent, options: LoopOptions) {
    this.#agent = agent;
    this.#options = options;
    this.#wakeup = options.wakeup ?? new Wakeup();
    this.#scheduler = new HeartbeatScheduler(options);
    this.#changeLog = new ChangeLog(options.log, options.now);
  }

  async run(signal: AbortSignal): Promise<void> {
    const scheduler = this.#scheduler;
    while (await this.#wait(signal)) {
      // A request has ended the wait; its check is due a little later.
      if (scheduler.nextCheckMs() > 0) continue;
      if (this.#isBusy && !scheduler.isSendDue) scheduler.checkSkipped();
      else await this.#work(signal);
    }
  }

  get #isBusy(): boolean {
    return this.#options.isBusy?.() ?? false;
  }

  /** Waits for the next check or a request; returns false when the loop is to end. */
  async #wait(signal: AbortSignal): Promise<boolean> {
    const [scheduler, wakeup] = [this.#scheduler, this.#wakeup];
    const { wait = wakeup.wait.bind(wakeup) } = this.#options;
    const forChecks = scheduler.takesCheckRequests;
    if (!await wait(scheduler.nextCheckMs(), signal, { forChecks })) return false;
    if (wakeup.take("send")) scheduler.requestSend();
    if (wakeup.take("check")) scheduler.requestCheck();
    return true;
  }

  async #work(signal: AbortSignal): Promise<void> {
    const { onWork } = this.#options;
    onWork?.("begin");
    try {
      await this.#check(signal);
    } catch (error) {
      if (this.#scheduler.isSendDue) {
        this.#logUnexpected("the heartbeat", error);
        this.#scheduler.sent({ isFailure: true, retryAfterMs: null });
      } else {
        this.#logUnexpected("a check of the host", error);
        this.#scheduler.checkSkipped();
      }
    } finally {
      onWork?.("end");
    }
  }

  /** Collects a snapshot, reports it, and sends it when that is due. */
  async #check(signal: AbortSignal): Promise<void> {
    const [agent, scheduler] = [this.#agent, this.#scheduler];
    scheduler.checkStarted();
    const { isRecheck } = scheduler;
    // A repair in a recheck would request the next recheck, without an end.
    const snapshot = await agent.collector.collect(signal, { repairs: !isRecheck });
    // A snapshot that was interrupted is not of the host.
    if (signal.aborted) return;
    // An apply may have begun during the check.
    if (isRecheck && this.#isBusy) return scheduler.checkSkipped();
    const shouldSend = scheduler.shouldSend(agent.fingerprint(snapshot));
    // The heartbeat is still due, so that another check follows at once, and repairs first.
    if (shouldSend && isRecheck && agent.collector.canRepair(snapshot)) return;
    this.#report(snapshot, shouldSend || !isRecheck);
    if (shouldSend) await this.#send(snapshot, signal);
  }

  /** Reports a snapshot before it is sent, as the master may hang. */
  #report(snapshot: HostSnapshot, isTimed: boolean): void {
    const { onReport, onSnapshot } = this.#options;
    try {
      const body = this.#agent.body(snapshot);
      this.#changeLog.record({ certificates: null, ...this.#last, snapshot, body }, this.#isBusy);
      if (isTimed) onSnapshot?.(snapshot);
      if (this.#last) onReport?.({ ...this.#last, snapshot, body });
    } catch (error) {
      this.#logUnexpected("a report", error);
    }
  }

  async #send(snapshot: HostSnapshot, signal: AbortSignal): Promise<void> {
    const { onHeartbeat, onReport } = this.#options;
    const heartbeat = this.#last = await this.#agent.send(snapshot, signal);
    if (signal.aborted) return;
    const { result } = heartbeat;
    this.#changeLog.record(heartbeat, this.#isBusy);
    this.#changeLog.recordSend(result);
    onHeartbeat?.(heartbeat);
    onReport?.(heartbeat);
    this.#scheduler.sent({ isFailure: wantsBackoff(result), retryAfterMs: result.retryAfterMs });
  }

  /** Logs an error that no known cause leads to. */
  #logUnexpected(what: string, error: unknown): void {
    const message = messageOf(error);
    this.#options.log("error", `${what} failed: ${message}`);
  }
}
