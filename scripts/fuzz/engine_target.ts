import assert from "node:assert/strict";
import { Agent, type Beat, describeDrift } from "../../agent/mod.ts";
import { Diary } from "../../agent/diary.ts";
import { findingsOf } from "../../cli/findings.ts";
import { onceText } from "../../cli/once_text.ts";
import { stateText } from "../../cli/state_text.ts";
import { parseAnswer } from "../../docker/failure.ts";
import { readContainers, readNetworks } from "../../docker/lists.ts";
import { ResponseReader } from "../../docker/response_reader.ts";
import { createLog } from "../../host/mod.ts";
import { TopologyStore } from "../../store/mod.ts";
import { defaultImages, findDrift, planDocument } from "../../topology/mod.ts";
import { addressesOutside, findChanges, findRemovals } from "../../topology/changes/mod.ts";
import { joined } from "./byte_mutations.ts";
import type { Chance } from "./chance.ts";
import { answerBytes, listTexts } from "./engine_answers.ts";
import { checkError, checkMessage } from "./message_oracle.ts";
import { SpeakingSocket } from "./speaking_socket.ts";
import type { Target } from "./target.ts";

const text = Deno.readTextFileSync(
  new URL("../../tests/data/topology-three-lans.json", import.meta.url),
);
const plan = await planDocument(text, defaultImages);
const names = [...plan.networks, ...plan.containers].map(({ name }) => name)
  .concat("bridge", "decnet-x", "decnet_t_other_x", "stranger");
const never = new AbortController().signal;
const maximumBodyBytes = 2 ** 20;
/** How many cases go through a socket and a whole beat. */
const casesForEachBeat = 8;

/** What the engine answers, from its bytes to what is told of it. */
export async function open(folder: string): Promise<Target> {
  const socket = new SpeakingSocket(`${folder}/docker.sock`);
  const storePath = `${folder}/topology.db`;
  using store = TopologyStore.open(storePath);
  store.put(plan.topologyId, "0a".repeat(32), text);
  const agent = new Agent({
    ...{ agentVersion: "1.2.3", hostUuid: null, master: null, agentDirectory: "/nonexistent" },
    ...{ storePath, sockets: [socket.path], images: defaultImages },
    networkPrefixes: ["decnet_t_"],
    containerPrefixes: ["decnet-", "decnet_t_"],
  });
  return await Promise.resolve({
    run: async (chance) => {
      const answers = listTexts(names, chance).map((it) => answerBytes(it, chance));
      if (!chance.isOneIn(casesForEachBeat)) return await readLists(joined(answers), chance);
      socket.words = joined(answers);
      return checkBeat(await agent.beat(never));
    },
    [Symbol.asyncDispose]: async () => {
      agent.close();
      await socket[Symbol.asyncDispose]();
    },
  });
}

/** Reads both lists from a stream that comes in pieces, and compares them with a plan. */
async function readLists(bytes: Uint8Array, chance: Chance): Promise<string> {
  const piece = chance.pick([1 << 20, 4_096, 100, bytes.length > 20_000 ? 999 : 1]);
  let at = 0;
  const reader = new ResponseReader((into) => {
    const part = bytes.subarray(at, at + Math.min(piece, into.length));
    into.set(part);
    at += part.length;
    return Promise.resolve(part.length || null);
  }, maximumBodyBytes);
  try {
    const [first, second] = [await reader.next(), await reader.next()];
    for (const { body } of [first, second]) assert.ok(body.length <= maximumBodyBytes);
    const networks = readNetworks(parseAnswer(first, "GET /networks"));
    const containers = readContainers(parseAnswer(second, "GET /containers/json"));
    const inventory = { networks, containers };
    findDrift(null, inventory);
    findChanges(plan, inventory, {
      imageIds: new Map(),
      hostAddresses: addressesOutside(networks, [{ interface: "eth0", address: 1 }]),
    });
    findRemovals({ topologyId: plan.topologyId, plan, wasApplied: true }, inventory);
    return findDrift(plan, inventory).state;
  } catch (error) {
    const isOurs = error instanceof TypeError && /: not a/.test(error.message);
    if (!isOurs) checkError(error, ["Error", "EngineError"]);
    return isOurs ? "another shape" : "an error";
  }
}

/** Whatever the engine says, what is told of it is whole, short and printable. */
function checkBeat(beat: Beat): string {
  const { stock: { observed, drift }, body } = beat;
  if ("error" in observed) {
    assert.ok(observed.error.length <= 200, "observed.error is too long");
    assert.ok(observed.error.isWellFormed() && observed.error !== "");
    assert.equal(drift.state, "unknown");
  } else {
    for (const list of [observed.bridges, observed.containers]) {
      assert.equal(new Set(list).size, list.length);
    }
  }
  assert.deepEqual(JSON.parse(JSON.stringify(body)), body);
  const findings = findingsOf(beat);
  checkMessage(onceText(beat, findings));
  for (const line of stateText(beat).split("\n").slice(0, -1)) checkMessage(line);
  const log = createLog((line) => checkMessage(line.replace(/\n$/, "")));
  new Diary(log).note(beat);
  describeDrift(drift);
  return "error" in observed ? "beat: no answer" : `beat: ${drift.state}`;
}
