/** The stand-in engine in a process of its own: SOCKET. It runs the topology of three LANs. */

import { TopologyStore } from "../../store/topology_store.ts";
import { FakeEngine } from "../../tests/support/engine/fake_engine.ts";
import { containerOf, networkOf } from "../../tests/support/engine/state.ts";
import { readTopology } from "../../topology/document.ts";
import { parseJson } from "../../topology/json.ts";
import { defaultImages, planTopology } from "../../topology/plan.ts";

const [socket] = Deno.args as [string];
const file = new URL("../../tests/data/topology-three-lans.json", import.meta.url);
const document = await Deno.readTextFile(file);
const topology = readTopology(parseJson(document));
const plan = await planTopology(topology, defaultImages);

const store = TopologyStore.open(`${socket}.db`);
store.put(topology.id, "bench", document);
store.close();

const engine = await FakeEngine.start(socket);
engine.networks = plan.networks.map(networkOf);
engine.containers = plan.containers.map(containerOf);
