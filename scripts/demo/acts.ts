import type { ProgressEvent } from "../../apply/executor.ts";
import type { Inventory } from "../../topology/inventory.ts";
import { count } from "./beat_text.ts";
import { hasDrift, isIdle, isWell, showHeartbeat } from "./beats.ts";
import type { Host } from "./host.ts";
import type { Stage } from "./stage.ts";
import { treeOf } from "./tree.ts";

/** The agent starts on a host without a topology. */
export async function startIdle(stage: Stage, host: Host): Promise<void> {
  const { narrator, agent } = stage;
  narrator.say("agent", "starts: it reads the store, asks the engine, and tells the master");
  await agent.start();
  await showHeartbeat(stage, "a beat that says idle", isIdle(host), { inFull: true });
}

/** The master pushes the document, and the agent makes it real. */
export async function applyDocument(stage: Stage, host: Host): Promise<void> {
  const { narrator } = stage;
  const { topology, plan, versionHash } = host.document;
  const services = plan.containers.filter(({ service }) => service !== null);
  const what = [
    count(topology.lans, "LAN"),
    count(topology.deckies, "decky", "deckies"),
    count(services, "service"),
  ].join(", ");
  narrator.say("master", `pushes topology '${topology.name}' over mutual TLS: ${what}`, [
    ["id", topology.id],
    ["version", `${versionHash.slice(0, 12)}…`],
  ]);
  const calls = await push(stage, host);
  const { networks, containers } = await host.list();
  narrator.say(
    "host",
    `after ${count(calls, "changing call")} to its engine it runs ` +
      `${count(containers, "container")} on ${count(networks, "network")}:`,
  );
  narrator.show(treeOf({ networks, containers }, host.document.prefix));
  await showHeartbeat(stage, "a beat without drift", isWell(host));
}

/** A service dies, another one is removed; the master is told, and pushes the same document again. */
export async function breakAndMend(stage: Stage, host: Host): Promise<void> {
  const { narrator } = stage;
  const services = host.document.plan.containers.filter(({ service }) => service !== null);
  const [removed, killed] = [services[1]!.name, services.at(-1)!.name];
  const before = idsOf(await host.list());
  narrator.title("3. Something breaks: a beat tells, at once");
  narrator.say("host", `container ${killed} dies`);
  await host.kill(killed);
  narrator.say("host", `somebody removes container ${removed}`);
  await host.remove(removed);
  await showHeartbeat(
    stage,
    `a beat that calls ${killed} stopped and ${removed} missing`,
    hasDrift({ stopped: killed, missing: removed }),
  );

  narrator.title("4. The master pushes the same document again: only what is broken is mended");
  narrator.say("master", "pushes it");
  const calls = await push(stage, host);
  const after = idsOf(await host.list());
  const anew = [...before.keys()].filter((name) => before.get(name) !== after.get(name));
  if (anew.join() !== removed) throw new Error(`made anew were: ${anew.join(", ") || "none"}`);
  const names = calls.map(wordOf).join(", ");
  narrator.say(
    "host",
    `had ${count(calls, "changing call")} (${names}): nothing else was touched`,
  );
  await showHeartbeat(stage, "a beat without drift", isWell(host));
}

/** The master pushes once more what is there already. */
export async function pushAgain(stage: Stage, host: Host): Promise<void> {
  const { narrator } = stage;
  narrator.say("master", "pushes it once more, as masters do");
  const calls = await push(stage, host);
  narrator.say(
    "host",
    `had ${count(calls, "changing call")}: all is right as it is, which is no news for a beat`,
  );
  if (calls.length > 0) throw new Error(`the engine was changed: ${calls.join(", ")}`);
}

/** Another host's agent tries what only the master may. */
export async function refuseNeighbour(stage: Stage, host: Host): Promise<void> {
  const calls = host.changingCalls.length;
  const body = { topology_id: host.document.topology.id };
  const { status } = await stage.callAsNeighbour("/topology/teardown", body);
  const answer = `a neighbour's agent asks for a teardown with its own certificate: ${status}`;
  stage.narrator.say("agent", answer);
  if (status !== 403) throw new Error("403 was expected");
  if (host.changingCalls.length > calls) throw new Error("the engine was changed all the same");
}

/** The master has the topology torn down. */
export async function tearDown(stage: Stage, host: Host): Promise<void> {
  const { narrator, agent, master } = stage;
  const { topology } = host.document;
  const removed: ProgressEvent[] = [];
  agent.onProgress = (step) => removed.push(step);
  master.received.clear();
  narrator.say("master", `asks for the teardown of ${topology.id}`);
  await master.tearDown(agent.port, topology.id);
  const { networks, containers } = await host.list();
  const left = [...networks, ...containers].map(({ name }) => name);
  if (left.length > 0) throw new Error(`the teardown has left ${left.join(", ")}`);
  const gone = (["container", "network"] as const).map((kind) =>
    count(removed.filter(({ text }) => text.startsWith(`remove ${kind} `)), kind)
  );
  narrator.say("host", `${gone.join(", then ")} were removed: nothing of it is left`);
  await showHeartbeat(stage, "a beat that says idle", isIdle(host), { inFull: true });
}

/** Pushes the document, tells each step, and answers which calls the engine was changed by. */
export async function push(
  { narrator, agent, master }: Stage,
  host: Host,
): Promise<readonly string[]> {
  const before = host.changingCalls.length;
  master.received.clear();
  agent.onProgress = ({ done, total, text }) => {
    const place = String(done).padStart(String(total).length);
    narrator.say("agent", `[${place}/${total}] ${text}`);
  };
  await master.push(agent.port, host.document);
  return host.changingCalls.slice(before);
}

function idsOf({ networks, containers }: Inventory): Map<string, string> {
  return new Map([...networks, ...containers].map(({ name, id }) => [name, id]));
}

/** `POST /containers/create?name=…` is `create`. */
function wordOf(call: string): string {
  return call.startsWith("DELETE ") ? "remove" : call.split("?")[0]!.split("/").at(-1)!;
}
