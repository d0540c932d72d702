/**
 * A stand-in engine in a process of its own: SOCKET CONTAINERS OURS PACE. After the first time it has
 * each answer ready; PACE tells whether it gives it `at once` or takes the time of `Docker`. The store
 * beside it, SOCKET.db, holds the topology of those that are ours.
 */

import { TopologyStore } from "../../store/topology_store.ts";
import { FakeEngine } from "../../tests/support/engine/fake_engine.ts";
import { readTopology } from "../../topology/document.ts";
import { parseJson } from "../../topology/json.ts";
import { foreignContainer, runningOf, topologyOf } from "../size.ts";

/** Docker 20.10 with 5,000 containers: 38 ms for a list of none of them, and 278 ms for one of all. */
const [looksMs, listsMs] = [0.0077, 0.048];

const [socket, count, ours, pace] = Deno.args as [string, string, string, string];
const document = topologyOf(Number(ours) / 2);
const { networks, containers } = await runningOf(document);
const store = TopologyStore.open(`${socket}.db`);
store.put(readTopology(parseJson(document)).id, "size", document);
store.close();

const engine = await FakeEngine.start(`${socket}.starting`);
engine.networks = networks;
const foreign = Array.from({ length: Number(count) - Number(ours) }, (_, index) => {
  return foreignContainer(index);
});
// The engine lists the newest first: ours are somewhere among them.
engine.containers = [
  ...foreign.slice(0, foreign.length >> 1),
  ...containers,
  ...foreign.slice(foreign.length >> 1),
];
if (pace === "Docker") {
  Object.defineProperty(engine, "latencyMs", {
    get() {
      const { pathname, searchParams } = new URL(engine.requests.at(-1)!.path, "http://localhost");
      if (pathname !== "/containers/json") return 0;
      const listed = Number(searchParams.has("filters") ? ours : count);
      return looksMs * Number(count) + listsMs * listed;
    },
  });
}
await Deno.rename(`${socket}.starting`, socket);
