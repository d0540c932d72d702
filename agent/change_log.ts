import { isPowerOfTwo, type Level, type Log } from "../host/log.ts";
import { driftKinds } from "../topology/drift.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { SendResult } from "./sender.ts";
import { describeDrift, type KnownDrift } from "./snapshot.ts";

/** Each subject of a problem, and the message when the problem is gone. */
const recovered = {
  store: "the store is in order again",
  docker: "Docker answers again",
  certificates: "the certificates are in order again",
  topology: "the recorded error is gone",
} as const;

type Subject = keyof typeof recovered;

/**
 * Logs changes only. Of the failures of the master in a row, logs the 1st, 2nd, 4th, 8th …, and once
 * their end; likewise of the times that an object differs, as a service may crash again and again.
 */
export class ChangeLog {
  readonly #log: Log;
  readonly #problems = new Map<Subject, string>();
  readonly #drift: DriftHistory;
  #masterFailures = 0;

  /** `now` returns milliseconds, by a clock that never jumps. */
  constructor(log: Log, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#drift = new DriftHistory(now);
  }

  /**
   * Compares what was found with what was found before. Ignores drift and the recorded error, which an
   * apply sets at its start, while the agent itself changes the host (`isBusy`).
   */
  record(
    { snapshot, body, certificates }: Pick<Heartbeat, "snapshot" | "body" | "certificates">,
    isBusy = false,
  ): void {
    const { observed, store } = snapshot;
    this.#compare(
      "store",
      store.kind === "unreadable" ? "error" : "warn",
      body.store.detail ?? null,
    );
    this.#compare("docker", "error", observed.kind === "failed" ? observed.error : null);
    const level = certificates?.expiresAt === null ? "error" : "warn";
    this.#compare("certificates", level, certificates?.problem ?? null, certificates?.problemId);
    // Unknown while Docker or the store cannot be read: the last known state stays.
    if (!body.topology || isBusy) return;
    this.#compare("topology", "warn", body.topology.last_error);
    if (snapshot.engine) this.#recordDrift(snapshot.drift);
  }

  /** Counts the master's failures; called once for each heartbeat. */
  recordSend(result: SendResult): void {
    const { kind, httpStatus, latencyMs } = result;
    const ms = Math.round(latencyMs ?? 0);
    this.#log("debug", "heartbeat", { result: kind, status: httpStatus ?? "none", ms });
    if (result.kind === "delivered") {
      const failures = this.#masterFailures;
      this.#masterFailures = 0;
      if (failures > 0) this.#log("info", "the master accepts heartbeats again", { failures });
    } else if (result.error !== null && result.latencyMs !== null) {
      const failures = ++this.#masterFailures;
      if (isPowerOfTwo(failures)) this.#log("error", result.error, { subject: "master", failures });
    }
  }

  #compare(subject: Subject, level: Level, problem: string | null, id = problem): void {
    const before = this.#problems.get(subject);
    if (problem === null && before !== undefined) {
      this.#problems.delete(subject);
      this.#log("info", recovered[subject]);
    } else if (problem !== null && id !== before) {
      this.#problems.set(subject, id ?? problem);
      this.#log(level, problem, { subject });
    }
  }

  #recordDrift(drift: KnownDrift): void {
    const times = this.#drift.record(drift);
    if (times === 0) return;
    const fields = times > 1 ? { times } : {};
    const text = describeDrift(drift);
    if (text === null) this.#log("info", "there is no drift any more", fields);
    else this.#log("warn", text, { subject: "drift", ...fields });
  }
}

/** How long an object stays the same until its state is logged in any case, in milliseconds. */
const calmMs = 10 * 60_000;

/** How an object differs, or all that are unexpected; a state is empty while it does not. */
interface ObjectHistory {
  state: string;
  /** The state at the last line of the log. */
  logged: string;
  /** How often it has begun to differ, or to differ in another way. */
  times: number;
  /** When the state changed last. */
  changedAt: number;
}

/** Counts how often each object differs, until it has not for `calmMs`. */
class DriftHistory {
  readonly #now: () => number;
  readonly #objects = new Map<string, ObjectHistory>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Returns 0 for a drift not worth a line, else how often the object that is has differed. */
  record(drift: KnownDrift): number {
    const now = this.#now();
    const states = statesOf(drift);
    let loudest = 0;
    for (const key of new Set([...this.#objects.keys(), ...states.keys()])) {
      const object = this.#objects.get(key) ?? { state: "", logged: "", times: 0, changedAt: now };
      const state = states.get(key) ?? "";
      if (state !== object.state) {
        Object.assign(object, { state, changedAt: now });
        if (state !== "") object.times++;
      }
      const isCalm = now - object.changedAt >= calmMs;
      const isLoud = state === "" || isCalm || isPowerOfTwo(object.times);
      if (state !== object.logged && isLoud) loudest = Math.max(loudest, object.times);
      if (state === "" && isCalm) this.#objects.delete(key);
      else this.#objects.set(key, object);
    }
    if (loudest > 0) { for (const object of this.#objects.values()) object.logged = object.state; }
    return loudest;
  }
}

/** Returns how each object differs; the unexpected count as one, as their names may change. */
function statesOf(drift: KnownDrift): ReadonlyMap<string, string> {
  if (drift.state === "unknown") return new Map([["", drift.detail]]);
  const states = new Map<string, string>();
  for (const kind of driftKinds) {
    for (const { type, name, detail } of drift[kind]) {
      const key = kind === "unexpected" ? kind : `${type} ${name}`;
      states.set(key, `${states.get(key) ?? ""}${kind} ${type} ${name} ${detail}\n`);
    }
  }
  return states;
}
