import {
  applyDocument,
  breakAndMend,
  push,
  pushAgain,
  refuseNeighbour,
  startIdle,
  tearDown,
} from "./acts.ts";
import { hasDrift, isWell, type Matches, showHeartbeat } from "./beats.ts";
import type { RealHost } from "./real_host.ts";
import type { Stage } from "./stage.ts";
import type { StandInHost } from "./stand_in_host.ts";

/** The least pause after a failed beat is 5 s; the rest is for a slow machine. */
const returnTimeoutMs = 12_000;

/** Tells how a topology comes to a host, what befalls it there, and how it goes. */
export async function tellStory(stage: Stage, host: StandInHost): Promise<void> {
  const { narrator } = stage;
  const { topology, plan } = host.document;

  narrator.title("1. A host without a topology");
  narrator.say("host", "runs an engine that has the images, and nothing else");
  await startIdle(stage, host);

  narrator.title("2. The master pushes a topology, and the agent makes it real");
  await applyDocument(stage, host);
  await breakAndMend(stage, host); // 3 and 4
  await pushAgain(stage, host);

  narrator.title("5. The engine is gone: the beat still comes, and says what is wrong");
  await host.stop();
  narrator.say("host", "the engine has stopped");
  await showHeartbeat(stage, "a beat with the engine's error", ({ body }) => {
    return body.topology?.topology_id === topology.id && "error" in body.topology.observed;
  });
  await host.start();
  narrator.say("host", "the engine runs again");
  await showHeartbeat(stage, "a beat without drift", isWell(host));

  narrator.title("6. The master is gone: the agent tries until it is back");
  const victim = plan.containers.at(-1)!.name;
  await loseMaster(stage, `a beat that calls ${victim} stopped`, hasDrift({ stopped: victim }), {
    meanwhile: async () => {
      narrator.say("host", `container ${victim} dies`);
      await host.kill(victim);
    },
  });
  narrator.say("master", "pushes the document");
  await push(stage, host);
  await showHeartbeat(stage, "a beat without drift", isWell(host));

  narrator.title("7. The same as one command, for cron and monitoring");
  await checkOnce(stage, isWell(host), [0]);

  narrator.title("8. The master alone tears it down");
  await refuseNeighbour(stage, host);
  await tearDown(stage, host);
}

/** Tells the part of it that is about applying, on this machine's engine. */
export async function tellRealApply(stage: Stage, host: RealHost): Promise<void> {
  const { narrator } = stage;

  narrator.title("1. An engine without the topology");
  narrator.say("host", `makes images from nothing: ${host.images.join(" and ")}`);
  await host.makeImages();
  const others = await host.countOthers();
  if (others > 0) {
    const what = `has ${others} networks and containers of other topologies`;
    narrator.say("host", `${what}: the agent will call them unexpected, and leave them alone`);
  }
  await startIdle(stage, host);

  narrator.title("2. The master pushes a topology, and the agent makes it real");
  await applyDocument(stage, host);
  await breakAndMend(stage, host); // 3 and 4
  await pushAgain(stage, host);

  narrator.title("5. The master alone tears it down");
  await refuseNeighbour(stage, host);
  await tearDown(stage, host);
}

/** Tells what runs on the real engine, which is only looked at, and of a master that fails. */
export async function tellRealStory(stage: Stage): Promise<void> {
  const { narrator, agent } = stage;
  const isSeen: Matches = ({ body }) => !!body.topology && "bridges" in body.topology.observed;

  narrator.title("1. What runs");
  narrator.say("agent", "starts: it asks the engine what runs, and looks for", stage.selection);
  await agent.start();
  const first = await showHeartbeat(stage, "a beat", () => true, { inFull: true });
  if (!isSeen(first)) {
    throw new Error("no engine answers here; without --docker the demo needs none");
  }
  const { engine, socket } = agent.last!.snapshot;
  const { version, apiVersion } = engine!;
  narrator.say("host", `engine ${version}, API ${apiVersion}, has answered on ${socket}`);

  narrator.title("2. The master is gone: the agent tries until it is back");
  await loseMaster(stage, "a beat with what runs", isSeen);

  narrator.title("3. The same as one command, for cron and monitoring");
  await agent.stop();
  narrator.say("host", "the agent has stopped");
  // 1 is a warning: what runs under our names is unexpected, as no topology was applied.
  await checkOnce(stage, isSeen, [0, 1]);
}

/** The master stops; once the agent has missed it, it is back. */
async function loseMaster(
  stage: Stage,
  what: string,
  matches: Matches,
  { meanwhile = () => Promise.resolve() }: { meanwhile?: () => Promise<void> } = {},
): Promise<void> {
  const { narrator, master, agent } = stage;
  await master.stop();
  narrator.say("master", `is gone: nobody listens on port ${master.port}`);
  await meanwhile();
  const failedAt = await agent.hasFailed();
  await master.start();
  narrator.say("master", "is back; the agent pauses before it tries again, for 5 s or longer");
  await showHeartbeat(stage, what, matches, { timeoutMs: returnTimeoutMs, failedAt });
}

async function checkOnce(
  stage: Stage,
  matches: Matches,
  allowed: readonly number[],
): Promise<void> {
  const { narrator, master } = stage;
  master.received.clear();
  narrator.say("host", "somebody runs decnet-agent --once");
  const { code, output } = await stage.runOnce();
  narrator.say("agent", output, [["exit code", `${code}`]]);
  if (!allowed.includes(code)) throw new Error(`exit code ${allowed.join(" or ")} was expected`);
  const { number, sender } = await master.received.next("the beat of --once", matches);
  narrator.say("master", `received beat ${number} from ${sender}`);
}
