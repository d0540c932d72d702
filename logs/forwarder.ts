import { EngineError, readFailure } from "../docker/errors.ts";
import { findSocket } from "../docker/observe.ts";
import { isPowerOfTwo, type Log } from "../host/log.ts";
import { TimeoutSet } from "../host/timeouts.ts";
import {
  containerClaim,
  type ContainerInfo,
  isRunning,
  topologyLabel,
} from "../topology/inventory.ts";
import { ClockWatcher } from "./clock.ts";
import {
  ContainerLog,
  logMemoryBytes,
  type LogPosition,
  MissingLineError,
  SharedMemory,
} from "./container_log.ts";
import { PositionStore } from "./positions.ts";
import type { LineSink } from "./sender.ts";
import { lateReason, type LogStatus, maximumBehindMs } from "./status.ts";

/** How many logs are read at once by default; the others wait for their turn. */
const maximumFollowed = 500;
/** The memory for all logs, in bytes; the sender takes up to 3 MiB more. */
const maximumBytes = 13 * 2 ** 20;
const tickMs = 1_000;
/** While others wait, a log is closed that was quiet for so long, or was read for so long, in ms. */
const quietMs = 5_000;
const turnMs = 30_000;
/** All logs are closed when the sink has no room for so long, in milliseconds. */
const fullMs = 5_000;
/** A log that ends or fails is opened again after a delay, which doubles each time, in milliseconds. */
const minRetryMs = 1_000;
const maxRetryMs = 30_000;
/** The event loop runs at least so often, so that heartbeats go out on time, in milliseconds. */
const sliceMs = 10;
/** The status is stored at least so often, in milliseconds. */
const statusMs = 60_000;
/** A problem is over when there was none for so long, in milliseconds. */
const problemMs = 2 * maxRetryMs;
/** Lines that are older count as waiting, in milliseconds. */
const lateMs = 5_000;
/** At its first start the agent meets old lines, which is no fault. */
const logLateAfterTicks = 10;

/** Returns true for a container whose lines are for the master, even when it has just ended. */
export function isForwarded(container: ContainerInfo): boolean {
  const { labels, state } = container;
  const topologyId = labels.get(topologyLabel);
  return labels.get("decnet.topology.service") === "true" && state !== "created" &&
    topologyId !== undefined && containerClaim(container, topologyId) === "own";
}

/** A container whose lines are for the master. */
class Source {
  isRunning = false;
  /** Whether its log was read to the end after it had ended. */
  isDone = false;
  /** Null while its log is not read. */
  log: ContainerLog | null = null;
  /** Resolves when the reading has ended. */
  following: Promise<void> = Promise.resolve();
  openedAt = 0;
  lastReadAt = 0;
  retryAt = 0;
  failures = 0;
  /** Whether lines were read of its log that are not sent yet. */
  hasUnsent = false;

  /** `position` is the one after the last line that the sink has taken. */
  constructor(readonly id: string, public position: LogPosition | null) {}
}

/** Runs one work after the other, and lets the event loop run in between. */
class TurnQueue {
  #last: Promise<void> = Promise.resolve();
  #sliceStartedAt = 0;

  /** Runs a work when those before it have ended; rejects as it does. */
  run(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(() => this.#endSlice()).then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  async #endSlice(): Promise<void> {
    if (performance.now() - this.#sliceStartedAt < sliceMs) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#sliceStartedAt = performance.now();
  }
}

/** What a forwarder needs. */
interface ForwarderOptions {
  /** The file for positions and status. */
  readonly path: string;
  readonly sink: LineSink;
  readonly log: Log;
  /** How many logs are read at once; 500 by default. */
  readonly maximumFollowed?: number;
}

/** Sends what the containers of topologies write to their standard output. */
export class LogForwarder {
  readonly #options: ForwarderOptions;
  readonly #maximumFollowed: number;
  readonly #positions: PositionStore;
  readonly #timeouts = new TimeoutSet();
  readonly #memory = new SharedMemory(maximumBytes - maximumFollowed * logMemoryBytes);
  readonly #turns = new TurnQueue();
  readonly #clock = new ClockWatcher();
  /** By container id, in the order of their turns. */
  readonly #sources = new Map<string, Source>();
  /** Those whose logs are read, by container id; also of containers that are gone. */
  readonly #active = new Map<string, Source>();
  /** Positions that are to be stored. */
  #safe = new Map<string, LogPosition>();
  #signal = AbortSignal.abort();
  #sockets: readonly string[] = [];
  /** Since when the sink has no room, by a clock that never jumps; null while it has. */
  #fullSince: number | null = null;
  #gaps = 0;
  #problem: string | null = null;
  #failedAt = 0;
  /** The earliest time of a line that a turn ended with, since the last tick and in the one before. */
  #oldest = Infinity;
  #lastOldest = Infinity;
  #stored: LogStatus | null = null;
  #lateTicks = 0;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#maximumFollowed = options.maximumFollowed ?? maximumFollowed;
    this.#positions = new PositionStore(options.path, options.log);
  }

  /** Takes all containers that the agent manages; reads the logs of those whose lines are for the master. */
  note(containers: readonly ContainerInfo[]): void {
    const gone = new Set(this.#sources.keys());
    for (const container of containers) {
      if (!isForwarded(container)) continue;
      const { id } = container;
      gone.delete(id);
      const source = this.#sources.get(id) ?? this.#active.get(id) ??
        new Source(id, this.#positions.read(id));
      this.#sources.set(id, source);
      source.isRunning = isRunning(container);
      source.isDone &&= !source.isRunning;
    }
    // The log of a container that was removed ends by itself.
    for (const id of gone) this.#sources.delete(id);
    this.#openDue();
  }

  /**
   * Reads and sends until `signal` is aborted, and ends within a second then. `sockets` are the paths
   * where the engine's socket may be, and may change. Never throws.
   */
  async run(signal: AbortSignal, sockets: readonly string[]): Promise<void> {
    this.#signal = signal;
    this.#sockets = sockets;
    this.#openDue();
    const timer = setInterval(() => this.#tick(), tickMs);
    await this.#options.sink.run(signal, (id, position) => this.#safe.set(id, position));
    clearInterval(timer);
    await Promise.all([...this.#active.values()].map(({ following }) => following));
    this.#save(this.status);
    this.#positions.close();
  }

  /** What was done so far. */
  get status(): LogStatus {
    const { waitingSince, sent, heldBack, cut, problem } = this.#options.sink.status;
    const since = Math.min(waitingSince ?? Infinity, this.#oldest, this.#lastOldest);
    const now = Date.now();
    return {
      at: now,
      sent,
      heldBack,
      cut: cut + this.#memory.cutLines,
      gaps: this.#gaps,
      followed: this.#active.size,
      behindSince: now - since > lateMs && since !== Infinity ? since : null,
      problem: problem ?? this.#problem,
    };
  }

  #tick(): void {
    const now = performance.now();
    if (this.#problem !== null && now - this.#failedAt > problemMs) {
      this.#problem = null;
      this.#options.log("info", "the logs of all containers are read again", { subject: "logs" });
    }
    this.#closeLogs(now);
    this.#openDue();
    [this.#lastOldest, this.#oldest] = [this.#oldest, Infinity];
    const { status } = this;
    this.#storeStatus(status);
    this.#logLate(status);
  }

  /** Stores what has changed. */
  #storeStatus(status: LogStatus): void {
    const last = this.#stored;
    const isSame = last !== null && last.behindSince === status.behindSince &&
      last.problem === status.problem && status.at - last.at < statusMs;
    if (this.#safe.size > 0 || !isSame) this.#save(status);
  }

  /** Logs when lines have waited too long, and when none does any more. */
  #logLate({ at, behindSince, problem }: LogStatus): void {
    const { log } = this.#options;
    const wasLate = this.#lateTicks >= logLateAfterTicks;
    const isLate = behindSince !== null && at - behindSince > maximumBehindMs;
    this.#lateTicks = isLate ? this.#lateTicks + 1 : 0;
    if (this.#lateTicks === logLateAfterTicks) {
      const text = `log lines have waited for ${maximumBehindMs / 60_000} minutes: `;
      log("warn", text + lateReason(problem), { subject: "logs" });
    }
    if (wasLate && !isLate) log("info", "no log lines wait any more", { subject: "logs" });
  }

  #save(status: LogStatus): void {
    if (!this.#positions.save(this.#safe, status)) {
      // Those of containers that are gone are of no use, and would add up.
      for (const id of this.#safe.keys()) if (!this.#sources.has(id)) this.#safe.delete(id);
      return;
    }
    this.#stored = status;
    this.#safe.clear();
  }

  /** Whether no log is read until the sink has room; the engine then keeps no files open for them. */
  get #isSuspended(): boolean {
    return this.#fullSince !== null && performance.now() - this.#fullSince > fullMs;
  }

  /** Closes logs that are opened again later, where they were. */
  #closeLogs(now: number): void {
    const setTo = this.#clock.check() ?? Infinity;
    let waiting = this.#sources.size > this.#maximumFollowed ? this.#due(now).length : 0;
    for (const { log, hasUnsent, openedAt, lastReadAt } of this.#active.values()) {
      if (!log) continue;
      // The engine leaves out what is written until its clock has reached that time again.
      const leavesOut = (log.since ?? 0) > setTo;
      const isTurnOver = now - lastReadAt >= quietMs || now - openedAt >= turnMs;
      const givesWay = waiting > 0 && isTurnOver && !hasUnsent;
      if (givesWay) waiting--;
      if (leavesOut || givesWay || this.#isSuspended) log.close();
    }
  }

  #due(now: number): Source[] {
    return [...this.#sources.values()]
      .filter(({ id, isDone, retryAt }) => !this.#active.has(id) && !isDone && retryAt <= now);
  }

  /** Opens the logs that are due, as far as there is room. */
  #openDue(): void {
    if (this.#signal.aborted || this.#isSuspended) return;
    const room = this.#maximumFollowed - this.#active.size;
    for (const source of this.#due(performance.now()).slice(0, room)) {
      this.#active.set(source.id, source);
      source.following = this.#follow(source);
    }
  }

  /** Reads a log until it ends or is closed. Never throws. */
  async #follow(source: Source): Promise<void> {
    const { id, isRunning, position } = source;
    source.openedAt = source.lastReadAt = performance.now();
    try {
      const log = source.log = await ContainerLog.open(this.#signal, {
        socket: findSocket(this.#sockets),
        id,
        after: position,
        clock: this.#clock,
        memory: this.#memory,
        timeouts: this.#timeouts,
        log: this.#options.log,
      });
      while (await log.fill()) {
        source.hasUnsent = true;
        await this.#turns.run(() => this.#sendLines(source, log));
        source.hasUnsent = false;
        source.lastReadAt = performance.now();
      }
      // A container that runs may go on with its last line. The engine's end looks like that of a log:
      // it is only known to be read when nothing new comes.
      if (!isRunning && source.position === position) {
        await this.#turns.run(() => this.#sendLines(source, log, true));
        source.isDone = !source.isRunning;
      }
    } catch (error) {
      if (error instanceof MissingLineError) this.#skipGap(source);
      else this.#noteFailure(id, error);
    }
    this.#endFollowing(source);
  }

  #endFollowing(source: Source): void {
    const { id, log } = source;
    // One that was closed is opened again as soon as there is room, the others after a delay.
    const delayMs = log?.isClosed ? 0 : minRetryMs * 2 ** Math.min(source.failures++, 16);
    source.retryAt = performance.now() + Math.min(maxRetryMs, delayMs);
    log?.close();
    source.log = null;
    source.hasUnsent = false;
    this.#active.delete(id);
    // The others come first.
    if (this.#sources.get(id) === source && this.#sources.delete(id)) this.#sources.set(id, source);
  }

  /** Sends the lines that were read of a log; at its end also one without a line feed. */
  async #sendLines(source: Source, log: ContainerLog, isEnd = false): Promise<void> {
    const before = source.position;
    while (!log.isClosed && !this.#signal.aborted) {
      const line = log.next() ?? (isEnd ? log.last() : null);
      if (line === null) break;
      source.position = log.position;
      const room = this.#options.sink.send(line, source.id, source.position);
      if (room === null) continue;
      this.#fullSince = performance.now();
      await room;
      this.#fullSince = null;
    }
    if (source.position === null || source.position === before) return;
    source.failures = 0;
    this.#oldest = Math.min(this.#oldest, Date.parse(source.position.timestamp));
  }

  /** Lets a log be read from where it begins now. */
  #skipGap(source: Source): void {
    source.position = { ...source.position!, lines: 0 };
    source.log?.close();
    this.#gaps++;
    const text =
      "Docker has removed log lines before they were sent; the master was away for too " +
      "long, or a container writes more than can be sent";
    if (isPowerOfTwo(this.#gaps)) {
      this.#options.log("warn", text, { subject: "logs", times: this.#gaps });
    }
  }

  #noteFailure(id: string, error: unknown): void {
    const failure = readFailure(error);
    // A container may be removed at any time.
    const isGone = failure.reason === "status" &&
      (failure.status === 404 || failure.status === 409);
    if (this.#signal.aborted || failure.reason === "client-closed" || isGone) return;
    const { message } = new EngineError(failure, "Cannot read the log of a container");
    if (message !== this.#problem) {
      this.#options.log("error", message, { subject: "logs", container: id.slice(0, 12) });
    }
    this.#problem = message;
    this.#failedAt = performance.now();
  }
}
