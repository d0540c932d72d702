/**
 * The stand-in engine in a process of its own: SOCKET [CONTAINERS MANAGED PACE]. It runs the topology
 * of three LANs, or so many containers, of which some are managed. PACE says whether it answers `at
 * once` or takes the time of `Docker`. The store beside it, SOCKET.db, holds the topology.
 */

import { TopologyStore } from "../../store/topology_store.ts";
import { FakeEngine } from "../../tests/support/engine/fake_engine.ts";
import { readTopology } from "../../topology/document.ts";
import { parseJson } from "../../topology/json.ts";
import { documentOf, foreignContainer, runningOf } from "../documents.ts";

/** Docker 20.10, in ms for each container that is on the host, and for each that it lists. */
const [searchMs, listMs] = [0.0077, 0.048];

const [socket = "", all, managed, pace] = Deno.args;
const file = new URL("../../tests/data/topology-three-lans.json", import.meta.url);
const document = all === undefined
  ? Deno.readTextFileSync(file)
  : documentOf(Number(managed) / 2, ["ssh"]);
const { networks, containers } = await runningOf(document);
const store = TopologyStore.open(`${socket}.db`);
store.put(readTopology(parseJson(document)).id, "bench", document);
store.close();

const foreignCount = all === undefined ? 0 : Number(all) - Number(managed);
const foreign = Array.from({ length: foreignCount }, (_, index) => foreignContainer(index));
const half = foreignCount >> 1;
const engine = await FakeEngine.start(`${socket}.starting`);
engine.networks = networks;
// The engine lists the newest first: the managed ones are somewhere among them.
engine.containers = [...foreign.slice(0, half), ...containers, ...foreign.slice(half)];
if (pace === "Docker") {
  Object.defineProperty(engine, "latencyMs", {
    get() {
      const { pathname, searchParams } = new URL(engine.requests.at(-1)!.path, "http://localhost");
      if (pathname !== "/containers/json") return 0;
      const listed = Number(searchParams.has("filters") ? managed : all);
      return searchMs * Number(all) + listMs * listed;
    },
  });
}
await Deno.rename(`${socket}.starting`, socket);
