import assert from "node:assert/strict";
import { createServer } from "node:net";
import { ChangeLog } from "../../agent/change_log.ts";
import { describeDrift } from "../../agent/snapshot.ts";
import { standInOptions } from "../support/topology.ts";
import { Agent, type Heartbeat } from "../../agent/heartbeat.ts";
import { findingsOf, onceText } from "../../cli/report.ts";
import { stateText } from "../../cli/state.ts";
import { checkStatus, parseAnswer } from "../../docker/errors.ts";
import { readContainers, readNetworks } from "../../docker/lists.ts";
import { ResponseReader } from "../../host/http.ts";
import { createLog } from "../../host/log.ts";
import { TopologyStore } from "../../store/topology_store.ts";
import { findChanges, findRemovals, findTakenSubnets } from "../../topology/changes.ts";
import { findDrift } from "../../topology/drift.ts";
import { planDocument } from "../../topology/plan.ts";
import { reserveInterface } from "../../topology/address.ts";
import { checkError, checkMessage } from "./oracles.ts";
import type { SeededRandom } from "../support/random.ts";
import { answerBytes, encode, hostileText, joined, mutateTree, treeOf, write } from "./hostile.ts";
import { ScriptedServer } from "./raw_socket.ts";
import type { Target } from "./target.ts";

const states = "created|running|paused|restarting|removing|exited|dead||x".split("|");
const statuses = [
  "Up 5 minutes|Up 2 hours (unhealthy)|Up Less than a second|Exited (137) 3 days ago|Up|",
  "Up 99999999999 years|Up 3 fortnights|Up 2|Up -1 hours|Up About an hour (Paused)|Up 1e9 days",
  "(unhealthy)",
].flatMap((line) => line.split("|"));

/** The answer to `GET /networks`, of `names` and others, and that to the list of containers. */
function listTexts(names: readonly string[], random: SeededRandom): [string, string] {
  const rarely = random.pick([3, 10, 1_000]);
  const text = (good: string) => random.isOneIn(rarely) ? hostileText(random) : good;
  const name = () => text(random.pick(names));
  const labels = () => ({
    ...(random.isOneIn(3) ? {} : { "decnet.topology.id": text("7c9e6679") }),
    ...(random.isOneIn(3) ? { "decnet.topology.spec": text("0a".repeat(32)) } : {}),
    ...(random.isOneIn(rarely) ? { [hostileText(random)]: hostileText(random) } : {}),
  });
  const count = random.isOneIn(300) ? 3_000 : random.few(30);
  const networks = random.times(count, (index) => ({
    Id: text(`n${index}`),
    Name: name(),
    Driver: text(random.pick(["bridge", "bridge", "macvlan", ""])),
    Internal: random.isOneIn(2),
    IPAM: { Config: random.pick([null, [], [{ Subnet: text("198.18.0.0/24") }], [{}, {}]]) },
    Labels: random.isOneIn(9) ? null : labels(),
  }));
  const containers = random.times(count, (index) => ({
    Id: text(`c${index}`),
    Names: random.isOneIn(9) ? null : [`/${name()}`],
    State: text(random.pick(states)),
    Status: text(random.pick(statuses)),
    HostConfig: { NetworkMode: text(random.pick(["default", "container:c0", ""])) },
    NetworkSettings: { Networks: { [name()]: { IPAddress: text("198.18.0.2") } } },
    Labels: labels(),
  }));
  return [textOf(networks, random), textOf(containers, random)];
}

function textOf(list: unknown, random: SeededRandom): string {
  if (random.isOneIn(20)) {
    return JSON.stringify({ message: hostileText(random).repeat(1 + random.few(99)) });
  }
  const tree = treeOf(list);
  // Long lists would take long to change.
  if ((list as unknown[]).length < 100) mutateTree(tree, random, random.pick([0, 0, 0, 1, 2]));
  return write(tree);
}

/** A body as an answer of HTTP, in one form or another, right or not. */
function answerOf(text: string, random: SeededRandom): Uint8Array<ArrayBuffer> {
  const rarely = random.pick([3, 1_000, 1_000]);
  const status = random.isOneIn(rarely) || text.startsWith("{")
    ? random.pick(["404 Not Found", "500 x", "204 No", "304 x", "100 Go", "199", "999 x", "20 x"])
    : "200 OK";
  const field = () =>
    random.isOneIn(rarely)
      ? hostileText(random)
      : `${random.pick(["Server: Docker/20.10 (linux)", "Api-Version: 1.41", "X: y"])}\r\n`;
  const fields = random.times(random.few(random.isOneIn(99) ? 900 : 3), field);
  return answerBytes(random, { status, fields, body: encode(text), rarely });
}

const text = Deno.readTextFileSync(new URL("../data/topology-three-lans.json", import.meta.url));
const plan = await planDocument(text, standInOptions);
const names = [...plan.networks, ...plan.containers].map(({ name }) => name)
  .concat("bridge", "decnet-x", "decnet_t_other_x", "stranger");
const never = new AbortController().signal;
const maximumBodyBytes = 2 ** 20;
/** One in so many cases goes through a socket and a whole heartbeat. */
const casesForEachHeartbeat = 8;

/** Opens the target: what the engine answers, from its bytes to what is reported. */
export async function open(folder: string): Promise<Target> {
  const path = `${folder}/docker.sock`;
  const socket = await ScriptedServer.onPath(createServer(), path);
  const storePath = `${folder}/topology.db`;
  using store = TopologyStore.open(storePath);
  store.put(plan.topologyId, "0a".repeat(32), text);
  const agent = new Agent({
    ...{ agentVersion: "1.2.3", hostUuid: null, master: null, agentDirectory: "/nonexistent" },
    ...{ storePath, sockets: [path], planOptions: standInOptions },
    networkPrefixes: ["decnet_t_"],
    containerPrefixes: ["decnet-", "decnet_t_"],
  });
  return {
    run: async (random) => {
      const [networks, containers] = listTexts(names, random);
      const answers = [networks, containers].map((it) => answerOf(it, random));
      if (!random.isOneIn(casesForEachHeartbeat)) return await readLists(joined(answers), random);
      // Containers are listed twice: by name and by label.
      socket.reply = joined([...answers, answerOf(containers, random)]);
      return checkHeartbeat(await agent.sendHeartbeat(never));
    },
    close: async () => {
      agent.close();
      await socket[Symbol.asyncDispose]();
    },
  };
}

/** Reads both lists from a stream that comes in pieces, and compares them with a plan. */
async function readLists(bytes: Uint8Array, random: SeededRandom): Promise<string> {
  const piece = random.pick([1 << 20, 4_096, 100, bytes.length > 20_000 ? 999 : 1]);
  let at = 0;
  const reader = new ResponseReader((into) => {
    const part = bytes.subarray(at, at + Math.min(piece, into.length));
    into.set(part);
    at += part.length;
    return Promise.resolve(part.length || null);
  }, maximumBodyBytes);
  try {
    const [first, second] = [await reader.next(), await reader.next()];
    const [listed, running] = [first, second].map((answer) => {
      assert.ok(answer.body.length <= maximumBodyBytes);
      checkStatus(answer, "GET /lists");
      return new TextDecoder().decode(answer.body);
    });
    const networks = readNetworks(parseAnswer(listed!, "GET /networks"));
    const containers = readContainers(parseAnswer(running!, "GET /containers/json"));
    const inventory = { networks, containers };
    findDrift(null, inventory);
    const changes = findChanges(plan, inventory, new Map());
    findTakenSubnets(changes.networks, networks, reserveInterface("eth0", "10.0.0.5/24"));
    findRemovals({ topologyId: plan.topologyId, plan }, inventory);
    return findDrift(plan, inventory).state;
  } catch (error) {
    const isOurs = error instanceof TypeError && /: not a/.test(error.message);
    if (!isOurs) checkError(error, ["HttpError", "EngineError"]);
    return isOurs ? "another shape" : "an error";
  }
}

/** Checks that a report is whole, short and printable. */
function checkHeartbeat(heartbeat: Heartbeat): string {
  const { snapshot: { observed, drift }, body } = heartbeat;
  if (observed.kind === "failed") {
    assert.ok(observed.error.length <= 200, "observed.error is too long");
    assert.ok(observed.error.isWellFormed() && observed.error !== "");
    assert.equal(drift.state, "unknown");
  } else {
    for (const list of [observed.bridges, observed.containers]) {
      assert.equal(new Set(list).size, list.length);
    }
  }
  assert.deepEqual(JSON.parse(JSON.stringify(body)), body);
  const findings = findingsOf(heartbeat);
  checkMessage(onceText(heartbeat, findings));
  // Blank lines stand between its parts.
  for (
    const line of stateText({ heartbeat, report: null }, null, false).split(/\n+/).slice(0, -1)
  ) {
    checkMessage(line);
  }
  const log = createLog((line) => checkMessage(line.replace(/\n$/, "")));
  const changeLog = new ChangeLog(log);
  changeLog.record(heartbeat);
  changeLog.recordSend(heartbeat.result);
  describeDrift(drift);
  return observed.kind === "failed" ? "heartbeat: no answer" : `heartbeat: ${drift.state}`;
}
