import type { Log } from "../host/log.ts";
import { driftKinds } from "../topology/drift.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { SendResult } from "./sender.ts";
import type { KnownDrift } from "./snapshot.ts";

/** Each subject of a problem, and the message when the problem is gone. */
const recovered = {
  store: "the store is in order again",
  docker: "Docker answers again",
  certificates: "the certificates are in order again",
  topology: "the recorded error is gone",
  drift: "there is no drift any more",
} as const;

type Subject = keyof typeof recovered;

/** How many names of each kind of drift one line has. */
const namesShown = 3;

/**
 * Logs changes only. Of the failures of the master in a row, logs the 1st, 2nd, 4th, 8th …, and once
 * their end.
 */
export class ChangeLog {
  readonly #log: Log;
  readonly #problems = new Map<Subject, string>();
  #masterFailures = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * Compares what was found with what was found before. Ignores drift while the agent itself changes
   * the host (`isBusy`).
   */
  record(
    { snapshot, body, certificates }: Pick<Heartbeat, "snapshot" | "body" | "certificates">,
    isBusy = false,
  ): void {
    this.#compare("store", body.store.detail ?? null);
    this.#compare("docker", snapshot.observed.kind === "failed" ? snapshot.observed.error : null);
    this.#compare("certificates", certificates?.problem ?? null, certificates?.problemId);
    // Unknown while Docker or the store cannot be read: the last known state stays.
    if (body.topology) this.#compare("topology", body.topology.last_error);
    if (snapshot.engine && body.topology && !isBusy) {
      this.#compare("drift", describeDrift(snapshot.drift));
    }
  }

  /** Counts the master's failures; called once for each heartbeat. */
  recordSend(result: SendResult): void {
    if (result.kind === "delivered") this.#masterAnswered();
    else if (result.error !== null && result.latencyMs !== null) this.#masterFailed(result.error);
  }

  #compare(subject: Subject, problem: string | null, id = problem): void {
    const before = this.#problems.get(subject);
    if (problem === null && before !== undefined) {
      this.#problems.delete(subject);
      this.#log("info", recovered[subject]);
    } else if (problem !== null && id !== before) {
      this.#problems.set(subject, id ?? problem);
      this.#log("warn", problem, { subject });
    }
  }

  #masterFailed(error: string): void {
    const failures = ++this.#masterFailures;
    const isPowerOfTwo = (failures & (failures - 1)) === 0;
    if (isPowerOfTwo) this.#log("warn", error, { subject: "master", failures });
  }

  #masterAnswered(): void {
    if (this.#masterFailures > 0) {
      this.#log("info", "the master accepts heartbeats again", { failures: this.#masterFailures });
    }
    this.#masterFailures = 0;
  }
}

/** Returns the drift in one line, or null when there is none: `missing decnet_t_…; stopped …`. */
export function describeDrift(drift: KnownDrift): string | null {
  if (drift.state === "unknown") return `drift unknown: ${drift.detail}`;
  if (drift.state === "consistent") return null;
  return driftKinds.filter((kind) => drift[kind].length > 0).map((kind) => {
    const names = drift[kind].slice(0, namesShown).map(({ name, detail }) =>
      detail === "" ? name : `${name} (${detail})`
    );
    const more = drift[kind].length - names.length;
    return `${kind} ${names.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  }).join("; ");
}
