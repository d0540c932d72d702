import { count, fullText, shortText } from "./beat_text.ts";
import type { Stage } from "./stage.ts";
import type { StandInHost } from "./stand_in_host.ts";
import type { Receipt } from "./stand_in_master.ts";

/** The least pause after a failed beat is 5 s; the rest is for a slow machine. */
const returnTimeoutMs = 12_000;

type Matches = (receipt: Receipt) => boolean;

/** Tells of a host on which a container, the engine and the master fail in turn. */
export async function tellStory(stage: Stage, host: StandInHost): Promise<void> {
  const { narrator, agent } = stage;
  const { topology, networks, containers } = host;
  const isWell: Matches = ({ body }) =>
    body.topology?.topology_id === topology.id &&
    body.topology.applied_version_hash === host.versionHash &&
    body.topology.drift.state === "consistent";

  narrator.title("1. All is well");
  const decoys = `${count(topology.deckies, "decoy")} in ${count(containers, "container")}`;
  narrator.say(
    "host",
    `runs ${decoys} on ${count(networks, "network")}, as its store says it must`,
  );
  narrator.say("agent", "starts: it reads the store, asks the engine, and tells the master");
  agent.start();
  await showBeat(stage, "a beat without drift", isWell, { inFull: true });

  const victim = containers.at(-1)!.Names[0]!.slice(1);
  narrator.title("2. A container dies");
  host.setState(victim, "exited");
  narrator.say("host", `container ${victim} exits`);
  await showBeat(stage, `a beat that calls ${victim} stopped`, ({ body }) => {
    const drift = body.topology?.drift;
    return drift?.state === "drifted" && drift.stopped.some(({ name }) => name === victim);
  });

  narrator.title("3. It comes back");
  host.setState(victim, "running");
  narrator.say("host", `container ${victim} runs again`);
  await showBeat(stage, "a beat without drift", isWell);

  narrator.title("4. The engine is gone: the beat still comes, and says what is wrong");
  await host.stop();
  narrator.say("host", "the engine has stopped");
  await showBeat(stage, "a beat with the engine's error", ({ body }) => {
    return body.topology?.topology_id === topology.id && "error" in body.topology.observed;
  });
  await host.start();
  narrator.say("host", "the engine runs again");
  await showBeat(stage, "a beat without drift", isWell);

  narrator.title("5. The master is gone: the agent tries until it is back");
  await loseMaster(stage, "a beat without drift", isWell);

  narrator.title("6. The same as one command, for cron and monitoring");
  await checkOnce(stage, isWell, [0]);
}

/** Tells what runs on the real engine, which is only looked at, and of a master that fails. */
export async function tellRealStory(stage: Stage): Promise<void> {
  const { narrator, agent } = stage;
  const isSeen: Matches = ({ body }) => !!body.topology && "bridges" in body.topology.observed;

  narrator.title("1. What runs");
  narrator.say("agent", "starts: it asks the engine what runs, and looks for", stage.selection);
  agent.start();
  const first = await showBeat(stage, "a beat", () => true, { inFull: true });
  if (!isSeen(first)) {
    throw new Error("no engine answers here; without --docker the demo needs none");
  }
  const { engine, socket } = agent.last!.stock;
  const { version, apiVersion } = engine!;
  narrator.say("host", `engine ${version}, API ${apiVersion}, has answered on ${socket}`);

  narrator.title("2. The master is gone: the agent tries until it is back");
  await loseMaster(stage, "a beat with what runs", isSeen);

  narrator.title("3. The same as one command, for cron and monitoring");
  // 1 is a warning: what runs under our names is unexpected, as no topology was applied.
  await checkOnce(stage, isSeen, [0, 1]);
}

async function loseMaster(stage: Stage, what: string, matches: Matches): Promise<void> {
  const { narrator, master, agent } = stage;
  await master.stop();
  narrator.say("master", `is gone: nobody listens on port ${master.port}`);
  const failedAt = await agent.hasFailed();
  await master.start();
  narrator.say("master", "is back; the agent pauses before it tries again, for 5 s or longer");
  await showBeat(stage, what, matches, { timeoutMs: returnTimeoutMs, failedAt });
}

async function checkOnce(
  stage: Stage,
  matches: Matches,
  allowed: readonly number[],
): Promise<void> {
  const { narrator, master, agent } = stage;
  await agent.stop();
  master.received.clear();
  narrator.say("host", "the agent has stopped; somebody runs decnet-agent --once");
  const { code, output } = await stage.runOnce();
  narrator.say("agent", output, [["exit code", `${code}`]]);
  if (!allowed.includes(code)) throw new Error(`exit code ${allowed.join(" or ")} was expected`);
  const { number, sender } = await master.received.next("the beat of --once", matches);
  narrator.say("master", `received beat ${number} from ${sender}`);
}

interface ShowOptions {
  /** Name every network and container. */
  readonly inFull?: boolean;
  readonly timeoutMs?: number;
  /** When the last beat failed, as `performance.now()`; how long ago that is will be told. */
  readonly failedAt?: number;
}

/** Waits for a beat, shows what is in it, and lets the agent have its say about it, too. */
async function showBeat(
  { narrator, master, agent }: Stage,
  what: string,
  matches: Matches,
  { inFull = false, timeoutMs, failedAt }: ShowOptions = {},
): Promise<Receipt> {
  const receipt = await master.received.next(what, matches, timeoutMs);
  const { number, sender } = receipt;
  const later = failedAt === undefined
    ? ""
    : `, ${((performance.now() - failedAt) / 1000).toFixed(1)} s after the one that failed`;
  const details = inFull ? fullText(receipt) : shortText(receipt);
  narrator.say("master", `received beat ${number} from ${sender}${later}`, details);
  await agent.hasDelivered(number);
  return receipt;
}
