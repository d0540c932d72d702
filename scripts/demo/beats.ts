import { driftKinds } from "../../topology/drift.ts";
import { fullText, shortText } from "./beat_text.ts";
import type { Host } from "./host.ts";
import type { Stage } from "./stage.ts";
import type { Receipt } from "./beat_text.ts";

/** Whether a beat is the one that is waited for. */
export type Matches = (receipt: Receipt) => boolean;

/** The document is applied, and what runs is as it says; what others have made does not count. */
export function isWell({ document }: Host): Matches {
  return ({ body: { topology } }) =>
    topology?.topology_id === document.topology.id &&
    topology.applied_version_hash === document.versionHash &&
    topology.drift.state !== "unknown" && !driftsIn(topology.drift, document.prefix);
}

/** Nothing is applied, and nothing of the document runs. */
export function isIdle({ document: { prefix } }: Host): Matches {
  return ({ body: { topology } }) =>
    topology?.topology_id === null && "bridges" in topology.observed &&
    !driftsIn(topology.drift, prefix);
}

/** The drift names a container under each of these kinds. */
export function hasDrift(expected: { readonly stopped?: string; readonly missing?: string }) {
  return ({ body: { topology } }: Receipt): boolean => {
    const drift = topology?.drift;
    return drift?.state === "drifted" &&
      (["stopped", "missing"] as const).every((kind) =>
        expected[kind] === undefined || drift[kind].some(({ name }) => name === expected[kind])
      );
  };
}

type AnyDrift = NonNullable<Receipt["body"]["topology"]>["drift"];

function driftsIn(drift: AnyDrift, prefix: string): boolean {
  return drift.state === "drifted" &&
    driftKinds.some((kind) => drift[kind].some(({ name }) => name.startsWith(prefix)));
}

interface ShowOptions {
  /** Name every network and container. */
  readonly inFull?: boolean;
  readonly timeoutMs?: number;
  /** When the last beat failed, as `performance.now()`; how long ago that is will be told. */
  readonly failedAt?: number;
}

/** Waits for a beat, shows what is in it, and lets the agent have its say about it, too. */
export async function showHeartbeat(
  { narrator, master, agent, patienceMs, onceCount }: Stage,
  what: string,
  matches: Matches,
  { inFull = false, timeoutMs = patienceMs, failedAt }: ShowOptions = {},
): Promise<Receipt> {
  const receipt = await master.received.next(what, matches, timeoutMs);
  const { number, sender } = receipt;
  const later = failedAt === undefined
    ? ""
    : `, ${((performance.now() - failedAt) / 1000).toFixed(1)} s after the one that failed`;
  const details = inFull ? fullText(receipt) : shortText(receipt);
  narrator.say("master", `received beat ${number} from ${sender}${later}`, details);
  await agent.hasDelivered(number - onceCount);
  return receipt;
}
