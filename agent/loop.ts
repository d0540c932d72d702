import type { Log } from "../host/log.ts";
import { ChangeLog } from "./change_log.ts";
import type { Agent, Heartbeat } from "./heartbeat.ts";
import { HeartbeatScheduler, Wakeup } from "./schedule.ts";
import { wantsBackoff } from "./sender.ts";
import type { HostSnapshot } from "./snapshot.ts";

/** What the loop needs besides the agent. */
interface LoopOptions {
  readonly intervalMs: number;
  readonly log: Log;
  /** Takes each heartbeat, when its sending has ended. */
  readonly onHeartbeat?: (heartbeat: Heartbeat) => void;
  /** Takes what each check has found, with the last heartbeat's result, and each new result. */
  readonly onReport?: (heartbeat: Heartbeat) => void;
  /** Takes what was found for a heartbeat, or at an interval while the master keeps it waiting. */
  readonly onSnapshot?: (snapshot: HostSnapshot) => void;
  /** Called when the loop begins to do something, and when it has ended, so that a hang shows. */
  readonly onWork?: (phase: "begin" | "end") => void;
  /** The least between two early heartbeats, in milliseconds. */
  readonly minEarlyGapMs?: number;
  /** Requests heartbeats and checks. */
  readonly wakeup?: Wakeup;
  /** Whether the agent itself is changing the host: then what is half done is no change. */
  readonly isBusy?: () => boolean;
  /** A number in [0, 1). */
  readonly random?: () => number;
  /** Milliseconds, by a clock that never jumps. */
  readonly now?: () => number;
  /** Waits as `Wakeup.wait()` does. */
  readonly wait?: (
    ms: number,
    signal: AbortSignal,
    options: { readonly forChecks: boolean },
  ) => Promise<boolean>;
}

/** Sends heartbeats until `signal` is aborted. Nothing that a heartbeat meets ends the loop. */
export async function runLoop(
  agent: Agent,
  signal: AbortSignal,
  options: LoopOptions,
): Promise<void> {
  await new Loop(agent, options).run(signal);
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
    this.#scheduler = new HeartbeatScheduler({
      intervalMs: options.intervalMs,
      minEarlyGapMs: options.minEarlyGapMs ?? 5_000,
      now: options.now ?? (() => performance.now()),
      random: options.random ?? Math.random,
    });
    this.#changeLog = new ChangeLog(options.log);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (await this.#wait(signal)) {
      if (this.#scheduler.nextCheckMs() > 0) continue;
      if (this.#isBusy && !this.#scheduler.isSendDue) this.#scheduler.checkSkipped();
      else await this.#work(signal);
    }
  }

  get #isBusy(): boolean {
    return this.#options.isBusy?.() ?? false;
  }

  async #wait(signal: AbortSignal): Promise<boolean> {
    const [scheduler, wakeup] = [this.#scheduler, this.#wakeup];
    const { wait = wakeup.wait.bind(wakeup) } = this.#options;
    const options = { forChecks: scheduler.takesCheckRequests };
    const isOver = !await wait(scheduler.nextCheckMs(), signal, options);
    if (isOver) return false;
    if (wakeup.takeSendRequest()) scheduler.requestSend();
    if (wakeup.takeCheckRequest()) scheduler.requestCheck();
    return true;
  }

  async #work(signal: AbortSignal): Promise<void> {
    const { onWork, log } = this.#options;
    onWork?.("begin");
    try {
      await this.#check(signal);
    } catch (error) {
      // No error is known that leads here; one that does must not end the loop.
      const message = error instanceof Error ? error.message : error;
      if (this.#scheduler.isSendDue) {
        log("error", `the heartbeat failed: ${message}`);
        this.#scheduler.sent({ isFailure: true, retryAfterMs: null });
      } else {
        log("error", `a check of the host failed: ${message}`);
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
    // What a recheck repaired would be a reason for the next one, without an end.
    const { isRecheck } = scheduler;
    const snapshot = await agent.collect(signal, { repairs: !isRecheck });
    // What was cut short by the stop says nothing about the host.
    if (signal.aborted) return;
    // An apply that began meanwhile makes half a change.
    if (isRecheck && this.#isBusy) return scheduler.checkSkipped();
    const shouldSend = scheduler.shouldSend(agent.fingerprint(snapshot));
    // The next check, which comes at once, repairs the store before its heartbeat.
    if (shouldSend && isRecheck && agent.canRepair(snapshot)) return;
    this.#report(snapshot, shouldSend || !isRecheck);
    if (shouldSend) await this.#send(snapshot, signal);
  }

  async #send(snapshot: HostSnapshot, signal: AbortSignal): Promise<void> {
    const { onHeartbeat, onReport } = this.#options;
    const heartbeat = this.#last = await this.#agent.send(snapshot, { signal });
    if (signal.aborted) return;
    const { result } = heartbeat;
    this.#changeLog.record(heartbeat, this.#isBusy);
    this.#changeLog.recordSend(result);
    onHeartbeat?.(heartbeat);
    onReport?.(heartbeat);
    this.#scheduler.sent({
      isFailure: wantsBackoff(result),
      retryAfterMs: result.retryAfterMs,
    });
  }

  /** Reports what was found before the master is asked, which may hang. */
  #report(snapshot: HostSnapshot, isTimed: boolean): void {
    const { log, onReport, onSnapshot } = this.#options;
    try {
      const body = this.#agent.body(snapshot);
      const seen = { certificates: null, ...this.#last, snapshot, body };
      this.#changeLog.record(seen, this.#isBusy);
      if (isTimed) onSnapshot?.(snapshot);
      if (this.#last) onReport?.({ ...this.#last, snapshot, body });
    } catch (error) {
      // No error is known that leads here; one that does must not keep back the heartbeat.
      log("error", `a report failed: ${error instanceof Error ? error.message : error}`);
    }
  }
}
