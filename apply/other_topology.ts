import { firstNames, shorten } from "../host/log.ts";
import { replacePrivateFile } from "../host/new_file.ts";
import {
  type ApplyHistory,
  historyPathOf,
  isRecent,
  maximumDetailLength,
  readHistory,
  recentMs,
  type RefusedPush,
} from "../store/history.ts";
import type { AppliedTopology } from "../store/row.ts";
import { AlreadyApplied } from "../store/topology_store.ts";
import { type Changes, removedBy } from "../topology/changes.ts";
import { ApplyError } from "./apply_error.ts";

/** How many replacements the history keeps. */
const maximumReplacements = 3;
/** A push that is refused again and again is written once in this time, in milliseconds. */
const rewriteMs = 60_000;

/** Returns the stored topology if its id differs from `id`. */
export function otherTopology(id: string, stored: AppliedTopology | null): AppliedTopology | null {
  return stored && stored.topologyId !== id ? stored : null;
}

/** Returns true for a marker row: nothing of that topology was ever applied completely. */
export function isMarker({ versionHash }: AppliedTopology): boolean {
  return versionHash === "";
}

/** Returns true when there is no network and no container to change. */
export function isNothing({ networks, containers }: Changes): boolean {
  return networks.length + containers.length === 0;
}

/**
 * Returns the `conflict` of applying topology `id`; says what is `left` of a marker row's topology, and
 * for a push what to do at the master, whose operators may see this host's own reports only.
 */
export function conflictError(
  { topologyId: storedId }: AppliedTopology,
  id: string,
  { left, isPush }: { left: Changes | null; isPush: boolean },
): ApplyError {
  let { message } = new AlreadyApplied(storedId, id);
  if (left) {
    // An id of another program's row may hold what a shell would run.
    const word = /^[\w.-]+$/.test(storedId) ? storedId : "ID";
    const advice = `remove them with decnet-agent teardown ${word}`;
    message += `: an apply of '${storedId}' has failed, and ${describeLeft(left)}; ${advice}`;
  } else if (isPush) {
    message += `: tear '${storedId}' down for this host at the master first, or set ` +
      "supersede = true here";
  }
  return new ApplyError("conflict", message);
}

function describeLeft({ networks, containers }: Changes): string {
  const counts = [[networks.length, "network"], [containers.length, "container"]] as const;
  const parts = counts.filter(([count]) => count > 0)
    .map(([count, noun]) => `${count} ${noun}${count === 1 ? "" : "s"}`);
  const names = [...removedBy(networks), ...removedBy(containers)].map(({ name }) => name).sort();
  const verb = names.length === 1 ? "is" : "are";
  return `${parts.join(" and ")} of it ${verb} left: ${firstNames(names)}`;
}

/** Keeps the last replacements and refused push beside the store, or in memory. Never throws. */
export class HistoryFile {
  #unwritten: ApplyHistory | null = null;

  constructor(readonly storePath: string) {}

  /** Records that the stored topology leaves its place to another one. */
  recordReplaced(topologyId: string): void {
    const history = this.#read();
    const { replaced } = history;
    // A removal that has failed is tried again, and is one replacement.
    const earlier = replaced.at(-1)?.topologyId === topologyId ? replaced.slice(0, -1) : replaced;
    const all = [...earlier, { topologyId, at: Date.now() }];
    this.#write({ ...history, replaced: all.slice(-maximumReplacements) });
  }

  /** Records a push of topology `id` that left the stored one, `keptId`, as it is. */
  recordRefused(keptId: string, id: string, { code, message }: ApplyError): void {
    const history = this.#read();
    const { refused } = history;
    const isOwn = code === "conflict" || code === "loop";
    const text = isOwn ? message : `'${keptId}' stays, as '${id}' cannot be applied: ${message}`;
    const push: RefusedPush = {
      code: isOwn ? code : "failed",
      keptId,
      refusedId: id,
      detail: shorten(text, maximumDetailLength),
      at: Date.now(),
    };
    const isSame = refused?.keptId === keptId && refused.detail === push.detail;
    if (isSame && Math.abs(push.at - refused.at) < rewriteMs) return;
    this.#write({ ...history, refused: push });
  }

  /** Forgets the refused push once topology `id` is applied, unless that one is still in its way. */
  recordApplied(id: string): void {
    const history = this.#read();
    const { refused } = history;
    if (refused === null || (refused.keptId === id && refused.refusedId !== id)) return;
    this.#write({ ...history, refused: null });
  }

  /** Forgets what is about a topology that was torn down: its master does not want it any more. */
  recordRemoved(id: string): void {
    const history = this.#read();
    const { replaced, refused, loop } = history;
    const left: ApplyHistory = {
      replaced: replaced.filter(({ topologyId }) => topologyId !== id),
      refused: refused?.keptId === id || refused?.refusedId === id ? null : refused,
      loop: loop?.keptId === id ? null : loop,
    };
    if (JSON.stringify(left) !== JSON.stringify(history)) this.#write(left);
  }

  /** Throws `ApplyError` `loop` if a third replacement in 10 minutes would bring a replaced one back. */
  checkLoop({ topologyId: keptId }: AppliedTopology, id: string): void {
    const now = Date.now();
    const history = this.#read();
    const { replaced, loop } = history;
    const recent = replaced.filter(({ at }) => isRecent(at, now));
    const isLoop = recent.length >= maximumReplacements - 1 && hasTopology(recent, id);
    const isKept = loop?.keptId === keptId && isRecent(loop.since, now) &&
      hasTopology(replaced, id);
    if (!isLoop && !isKept) return;
    const since = isKept ? loop.since : now;
    if (!isKept) this.#write({ ...history, loop: { keptId, since } });
    const until = new Date(since + recentMs).toISOString();
    const text = "topologies have replaced each other on this host again and again";
    const advice = "at the master, tear down all but one of them for this host";
    const { message } = new AlreadyApplied(keptId, id);
    const whole = `${message} before ${until}: ${text}; ${advice}`;
    throw new ApplyError("loop", whole, { isRepeated: isKept });
  }

  #read(): ApplyHistory {
    return this.#unwritten ?? readHistory(this.storePath);
  }

  #write(history: ApplyHistory): void {
    try {
      replacePrivateFile(historyPathOf(this.storePath), JSON.stringify(history));
      this.#unwritten = null;
    } catch {
      this.#unwritten = history;
    }
  }
}

function hasTopology(replaced: ApplyHistory["replaced"], id: string): boolean {
  return replaced.some(({ topologyId }) => topologyId === id);
}
